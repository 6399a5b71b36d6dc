from django.contrib import admin

from gallery.models import Photo

admin.site.register(Photo)
