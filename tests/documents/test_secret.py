import pytest
from pydantic import ValidationError

from documents.secret import Secret, SecretMissing


def test_a_password_comes_from_a_file_beside_the_document(tmp_path):
    (tmp_path / "mqtt.secret").write_text("pass word\n", encoding="utf-8")

    secret = Secret(password_file=tmp_path / "mqtt.secret")

    assert secret.password(environ={}, folder=tmp_path) == "pass word"


def test_a_relative_file_is_looked_for_in_the_folder_handed_in(tmp_path):
    (tmp_path / "mqtt.secret").write_text("word\r\n", encoding="utf-8")

    secret = Secret.model_validate_json('{"password_file": "mqtt.secret"}')

    assert secret.password(environ={}, folder=tmp_path) == "word"


def test_a_password_comes_from_the_environment(tmp_path):
    secret = Secret(password_env="MQTT_PASSWORD")

    assert secret.password(environ={"MQTT_PASSWORD": "word"}, folder=tmp_path) == "word"


def test_no_reference_is_no_password(tmp_path):
    assert Secret().password(environ={}, folder=tmp_path) is None


def test_two_references_are_one_too_many():
    with pytest.raises(ValidationError, match="give password_file or password_env, not both"):
        Secret.model_validate_json('{"password_file": "x", "password_env": "Y"}')


@pytest.mark.parametrize("environ", [{}, {"MQTT_PASSWORD": ""}])
def test_a_variable_that_is_not_set_is_named(tmp_path, environ):
    with pytest.raises(SecretMissing, match="variable MQTT_PASSWORD is not set or empty"):
        Secret(password_env="MQTT_PASSWORD").password(environ=environ, folder=tmp_path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SecretMissing, match=r"none\.secret cannot be read: No such file"):
        Secret(password_file=tmp_path / "none.secret").password(environ={}, folder=tmp_path)


def test_an_empty_file_is_no_password(tmp_path):
    (tmp_path / "empty").write_text("\n", encoding="utf-8")

    with pytest.raises(SecretMissing, match="is empty"):
        Secret(password_file=tmp_path / "empty").password(environ={}, folder=tmp_path)


def test_a_file_that_is_no_text_does_not_leak_into_the_error(tmp_path):
    (tmp_path / "binary").write_bytes(b"geheim\xff")

    with pytest.raises(SecretMissing, match="is not UTF-8") as raised:
        Secret(password_file=tmp_path / "binary").password(environ={}, folder=tmp_path)

    assert raised.value.__cause__ is None
