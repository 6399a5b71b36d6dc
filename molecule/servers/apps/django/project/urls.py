from django.urls import path
from guestbook import views

urlpatterns = [
    path("", views.guestbook),
    path("health", views.health),
    path("work", views.work),
    path("hang", views.hang),
]
