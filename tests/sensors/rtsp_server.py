"""A camera on the network, as GStreamer's RTSP server is one: rtsp_server.py PATTERN PORT USER PASSWORD basic|digest.

Run by Debian's own Python, which has python3-gi; not a test, and no module of any.
"""

import sys
from typing import Any

import gi  # type: ignore[import-not-found, unused-ignore]

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # type: ignore[import-not-found, unused-ignore] # noqa: E402

PICTURES = "video/x-raw,format=I420,width=320,height=240,framerate=30/1"


def login(server: Any, factory: Any, user: str, password: str, how: str) -> None:
    """Only who knows the password may see."""
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth = GstRtspServer.RTSPAuth()
    if how == "digest":
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(user, password, token)
    else:
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)
    role = Gst.Structure.new_empty("viewer")
    role.set_value("media.factory.access", True)
    role.set_value("media.factory.construct", True)
    factory.add_role_from_structure(role)


def main(pattern: str, port: str, user: str, password: str, how: str) -> None:
    Gst.init(None)
    server = GstRtspServer.RTSPServer(address="127.0.0.1", service=port)
    source = f"videotestsrc is-live=true pattern={pattern} ! {PICTURES}"
    factory = GstRtspServer.RTSPMediaFactory(
        launch=f"( {source} ! jpegenc ! rtpjpegpay name=pay0 )", shared=True
    )
    if user:
        login(server, factory, user, password, how)
    server.get_mount_points().add_factory("/eye", factory)
    server.attach(None)
    print("ready", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main(*sys.argv[1:])
