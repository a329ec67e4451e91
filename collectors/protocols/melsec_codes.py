"""End codes of the MC protocol in words, and what each means for a read. Pure.

1E: FX3U-ENET manual p. 11-19, FX3U-ENET-ADP p. 61 and 129. 3E and 4E: MELSEC Communication Protocol Reference
and QJ71E71 manual ch. 11.
"""

from __future__ import annotations

from collectors.model import BusyError, DeviceError, NoAnswerError, RefusedError, UnsupportedError
from collectors.protocols.melsec_answers import ABNORMAL, Answer
from collectors.protocols.melsec_devices import Frame

Meaning = tuple[str, str, type[DeviceError]]

_1E: dict[int, Meaning] = {
    0x02: ("RangeError", "device number out of range", RefusedError),
    0x50: ("UnknownCommand", "command not known", UnsupportedError),
    0x51: ("TooManyPoints", "points out of range", RefusedError),
    0x52: ("TooManyPoints", "points out of range", RefusedError),
    0x54: ("WrongCode", "the port is not set to this code (binary or ascii)", UnsupportedError),
    0x56: ("DeviceNotAvailable", "device not available", RefusedError),
    0x57: ("TooManyPoints", "more points than the PLC gives at once", RefusedError),
    0x58: ("RangeError", "head number out of range", RefusedError),
    0x60: ("PlcTimeout", "the PLC did not answer its Ethernet module in time", NoAnswerError),
}
_ABNORMAL: dict[int, Meaning] = {
    0x10: ("WrongPc", "no PLC with this pc number", NoAnswerError),
    0x11: ("ModuleMode", "the module and the PLC do not understand each other", BusyError),
    0x12: ("SpecialModule", "special module out of order", BusyError),
    0x18: ("RemoteRefused", "refused while another has remote control", BusyError),
    0x21: ("BusError", "memory access failed", BusyError),
}
_3E: dict[int, Meaning] = {
    0x4030: ("DeviceNotAvailable", "device not available", RefusedError),
    0x4031: ("RangeError", "device number out of range", RefusedError),
    0x4043: ("RangeError", "block out of range", RefusedError),
    0x4080: ("DeviceNotAvailable", "request data not accepted", RefusedError),
    0xC050: ("WrongCode", "the port is not set to this code (binary or ascii)", UnsupportedError),
    0xC051: ("TooManyPoints", "more words than the PLC gives at once", RefusedError),
    0xC052: ("TooManyPoints", "more bits than the PLC gives at once", RefusedError),
    0xC053: ("TooManyPoints", "more bits than the PLC gives at once", RefusedError),
    0xC054: ("TooManyPoints", "more points than the PLC gives at once", RefusedError),
    0xC056: ("RangeError", "beyond the last device number", RefusedError),
    0xC058: ("WrongLength", "request length and data do not agree", UnsupportedError),
    0xC059: ("UnknownCommand", "command not known", UnsupportedError),
    0xC05B: ("DeviceNotAvailable", "device cannot be read", RefusedError),
    0xC05C: ("DeviceNotAvailable", "device cannot be read in this unit", RefusedError),
    0xC05F: ("WrongPc", "no such request to this station", NoAnswerError),
    0xC060: ("DeviceNotAvailable", "bit data not accepted", RefusedError),
    0xC061: ("WrongLength", "request length and data do not agree", UnsupportedError),
    0xCEE0: ("PlcBusy", "another request is under way", BusyError),
}


def error(frame: Frame, answer: Answer, read: str, device: str) -> DeviceError:
    """What an end code other than 0 comes to; `read` is the range that was asked for, such as D9000-D9003."""
    digits = 2 if frame == "1E" else 4
    code = f"0x{answer.end_code:0{digits}X}"
    meanings, number = (_1E if frame == "1E" else _3E), answer.end_code
    if frame == "1E" and answer.end_code == ABNORMAL and answer.abnormal is not None:
        meanings, number, code = _ABNORMAL, answer.abnormal, f"{code} 0x{answer.abnormal:02X}"
    unknown: Meaning = (f"EndCode{number:0{digits}X}", "no known end code", BusyError)
    reason, words, kind = meanings.get(number, unknown)
    message = f"cannot read {device}: {code} {words}: {read}"
    return NoAnswerError(reason, message, heard=True) if kind is NoAnswerError else kind(reason, message)
