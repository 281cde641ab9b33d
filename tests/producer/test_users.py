"""What is used by several threads is released once, by the last of them."""

import threading

from dataart_mp.producer.users import User, Users


def test_the_last_user_that_leaves_after_close_releases() -> None:
    releases: list[None] = []
    users = Users(lambda: releases.append(None))
    call, thread = User(is_call=True), User(is_call=False)
    users.add(call)
    users.add(thread)
    users.remove(thread)
    assert not users.closed
    users.add(thread)
    users.close()
    users.remove(call)
    assert releases == []
    users.remove(thread)
    assert releases == [None]
    users.remove(thread)
    users.remove(call)
    assert releases == [None], "once"


def test_calls_of_other_threads_are_awaited_and_nobody_else() -> None:
    users = Users(lambda: None)
    users.add(User(is_call=True))  # a signal handler has interrupted this very thread
    users.add(User(is_call=False))  # a background thread is stopped in another way
    assert users.await_calls(0)
    others: list[User] = []
    thread = threading.Thread(target=lambda: others.append(User(is_call=True)))
    thread.start()
    thread.join()
    users.add(others[0])
    assert not users.await_calls(0.05)
    threading.Timer(0.05, users.remove, others).start()
    assert users.await_calls(30)


def test_a_forked_child_has_no_users() -> None:
    releases: list[None] = []
    users = Users(lambda: releases.append(None))
    users.add(User(is_call=True))
    users.close()
    users.forget()
    assert not users.closed
    users.close()
    users.remove(User(is_call=True))
    assert releases == [None]
