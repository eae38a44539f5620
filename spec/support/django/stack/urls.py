from django.urls import include, path

from stack import api

urlpatterns = [
    path("oauth2/", include("oauth2_provider.urls", namespace="oauth2_provider")),
    path("api/partners/v2.0/auth/token", api.TokenView.as_view()),
    path("api/partners/v2.0/org/<uuid:org_id>/users", api.users),
]
