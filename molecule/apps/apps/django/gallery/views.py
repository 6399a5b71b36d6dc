from django.http import HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from gallery.models import Photo


def home(request):
    return HttpResponse("ok")


@csrf_exempt
def upload(request):
    photo = Photo.objects.create(image=request.FILES["image"])
    return JsonResponse({"url": photo.image.url}, status=201)
