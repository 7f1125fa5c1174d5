/** Numbers of the Remote Framebuffer protocol: RFC 6143, and the community registry of extensions (rfbproto). */

/** RFC 6143 section 7.1.2. */
export const SECURITY_NONE = 1;
export const SECURITY_VNC_AUTH = 2;

/** Client to server, RFC 6143 section 7.5. */
export const MSG_SET_PIXEL_FORMAT = 0;
export const MSG_SET_ENCODINGS = 2;
export const MSG_FRAMEBUFFER_UPDATE_REQUEST = 3;
export const MSG_KEY_EVENT = 4;
export const MSG_POINTER_EVENT = 5;
export const MSG_CLIENT_CUT_TEXT = 6;
export const MSG_ENABLE_CONTINUOUS_UPDATES = 150;
export const MSG_CLIENT_FENCE = 248;
export const MSG_SET_DESKTOP_SIZE = 251;
export const MSG_QEMU_CLIENT = 255;

/** Server to client, RFC 6143 section 7.6. */
export const MSG_FRAMEBUFFER_UPDATE = 0;
export const MSG_SET_COLOUR_MAP_ENTRIES = 1;
export const MSG_END_OF_CONTINUOUS_UPDATES = 150;
export const MSG_SERVER_FENCE = 248;

/** Encodings, RFC 6143 section 7.7. */
export const ENCODING_RAW = 0;
export const ENCODING_COPYRECT = 1;
export const ENCODING_HEXTILE = 5;
export const ENCODING_TIGHT = 7;
export const ENCODING_ZRLE = 16;
/** Pseudo-encodings, section 7.8 and the registry. */
export const PSEUDO_JPEG_QUALITY_0 = -32;
export const PSEUDO_JPEG_QUALITY_9 = -23;
export const PSEUDO_DESKTOP_SIZE = -223;
export const PSEUDO_LAST_RECT = -224;
export const PSEUDO_CURSOR = -239;
export const PSEUDO_COMPRESS_0 = -256;
export const PSEUDO_COMPRESS_9 = -247;
export const PSEUDO_QEMU_POINTER_MOTION = -257;
export const PSEUDO_QEMU_KEY = -258;
export const PSEUDO_QEMU_LED_STATE = -261;
export const PSEUDO_DESKTOP_NAME = -307;
export const PSEUDO_EXTENDED_DESKTOP_SIZE = -308;
export const PSEUDO_FENCE = -312;
export const PSEUDO_CONTINUOUS_UPDATES = -313;

/** ExtendedDesktopSize (rfbproto): why a size is told, and how a wish is answered. */
export const SIZE_BY_THIS_CLIENT = 1;
export const SIZE_PROHIBITED = 1;
export const SIZE_INVALID = 3;
export const SIZE_FORWARDED = 4;

export const FENCE_BLOCK_BEFORE = 1;
export const FENCE_BLOCK_AFTER = 2;
export const FENCE_SYNC_NEXT = 4;
export const FENCE_REQUEST = 0x8000_0000;
