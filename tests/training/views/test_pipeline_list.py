from __future__ import annotations

URL = "/populations/bay/training/"


def test_page_says_what_there_is_to_learn_from(client, trainer, population, make_crops):
    make_crops(2)
    client.force_login(trainer)

    response = client.get(URL)

    assert response.context["readiness"].n_crops == 8
    assert "New training job" in response.content.decode()


def test_page_without_crops_says_what_is_missing(client, trainer, population):
    client.force_login(trainer)

    content = client.get(URL).content.decode()

    assert "There are no crops with a name yet" in content
    assert "New training job" not in content


def test_viewer_is_not_offered_to_train(client, viewer, population, make_crops):
    make_crops(2)
    client.force_login(viewer)

    response = client.get(URL)

    assert response.status_code == 200
    assert "New training job" not in response.content.decode()


def test_stranger_finds_nothing(client, stranger, population):
    client.force_login(stranger)

    assert client.get(URL).status_code == 404


def test_anonymous_is_asked_to_sign_in(client, trainer, population):
    response = client.get(URL)

    assert response.status_code == 302
    assert response.url.startswith("/accounts/")
