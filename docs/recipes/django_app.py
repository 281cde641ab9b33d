"""Django under gunicorn, in one file: `gunicorn --workers 2 django_app`.

In a project, the client belongs into a separate module, such as `shop/events.py`, from which the
views import it; and the middleware into the setting MIDDLEWARE.
"""

from collections.abc import Callable

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

from dataart_mp import Client, ClientConfig, context

client = Client(ClientConfig.from_env(overflow="drop"))  # a request never waits for the platform


def request_id(
    respond: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Add the id of the request to the metadata of all its actions; a middleware."""

    def middleware(request: HttpRequest) -> HttpResponse:
        with context.bind(request_id=request.headers.get("X-Request-Id", "none")):
            return respond(request)

    return middleware


def play(request: HttpRequest, song: int) -> HttpResponse:
    """Emit an action."""
    client.emit_action("song-played", request.GET["user"], metadata={"song": song})
    return JsonResponse({"song": song})


urlpatterns = [path("plays/<int:song>", play)]
settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["127.0.0.1"],
    SECRET_KEY="an example",  # noqa: S106 - in a project, from the environment
    MIDDLEWARE=[f"{__name__}.request_id"],
)
django.setup()
application = WSGIHandler()
