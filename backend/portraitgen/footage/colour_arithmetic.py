# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Primaries and transfer curves by the standards' own formulas, for what OpenColorIO's
configuration does not have: tagged video, HLG and PQ (ITU-R BT.2100), any primaries of an EXR."""

import functools
from dataclasses import dataclass

import numpy as np

WHITE_NITS = 203.0
"""Diffuse white of HDR video, as ITU-R BT.2408 sets it: 75 % of HLG, 58 % of PQ."""

_D65 = (0.3127, 0.3290)
GAMUTS: dict[str, tuple[float, ...]] = {
    "Rec.709": (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, *_D65),
    "P3-D65": (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, *_D65),
    "P3-DCI": (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.314, 0.351),
    "Rec.2020": (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, *_D65),
    "PAL": (0.64, 0.33, 0.29, 0.60, 0.15, 0.06, *_D65),
    "NTSC": (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *_D65),
    "NTSC 1953": (0.67, 0.33, 0.21, 0.71, 0.14, 0.08, 0.310, 0.316),
    "Film": (0.681, 0.319, 0.243, 0.692, 0.145, 0.049, 0.310, 0.316),
    "Adobe RGB": (0.64, 0.33, 0.21, 0.71, 0.15, 0.06, *_D65),
    "AP0": (0.7347, 0.2653, 0.0, 1.0, 0.0001, -0.077, 0.32168, 0.33767),
    "AP1": (0.713, 0.293, 0.165, 0.830, 0.128, 0.044, 0.32168, 0.33767),
    "ARRI Wide Gamut 3": (0.684, 0.313, 0.221, 0.848, 0.0861, -0.102, *_D65),
    "ARRI Wide Gamut 4": (0.7347, 0.2653, 0.1424, 0.8576, 0.0991, -0.0308, *_D65),
    "S-Gamut3": (0.730, 0.280, 0.140, 0.855, 0.100, -0.050, *_D65),
    "S-Gamut3.Cine": (0.766, 0.275, 0.225, 0.800, 0.089, -0.087, *_D65),
    "Venice S-Gamut3": (0.740464, 0.279364, 0.089241, 0.893809, 0.110488, -0.052579, *_D65),
    "Venice S-Gamut3.Cine": (0.775902, 0.274502, 0.188683, 0.828685, 0.101337, -0.089188, *_D65),
    "REDWideGamutRGB": (0.780308, 0.304253, 0.121595, 1.493994, 0.095612, -0.084589, *_D65),
    "V-Gamut": (0.730, 0.280, 0.165, 0.840, 0.100, -0.030, *_D65),
    "CinemaGamut": (0.740, 0.270, 0.170, 1.140, 0.080, -0.100, *_D65),
    "BMD WideGamut Gen5": (
        0.7177215, 0.3171181, 0.228041, 0.861569, 0.1005841, -0.0820452, 0.312717, 0.3290312,
    ),
    "DaVinci WideGamut": (0.8, 0.313, 0.1682, 0.9877, 0.079, -0.1155, *_D65),
}  # fmt: skip
"""Name -> x and y of red, green, blue and white."""

_HLG_A, _HLG_B, _HLG_C = 0.17883277, 0.28466892, 0.55991073
_HLG_GAMMA = 1.2  # The system gamma of a display of 1000 nits.
_PQ_M1, _PQ_M2 = 2610 / 16384, 2523 / 4096 * 128
_PQ_C1, _PQ_C2, _PQ_C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
_TABLE = 1 << 16


@dataclass(frozen=True)
class Encoding:
    """A colour space by arithmetic.

    Attributes:
        primaries: x and y of red, green, blue and white.
        curve: "srgb", "linear", "gamma G", "hlg" or "pq".
    """

    primaries: tuple[float, ...]
    curve: str

    def to_rec709(self, encoded: np.ndarray) -> np.ndarray:
        """Codes (..., 3) as linear Rec.709, float32; diffuse white is 1."""
        if self.curve == "hlg":
            return _as_video(_looked_up(_hlg_table(), encoded), self.primaries)
        if self.curve == "pq":
            return _as_video(_looked_up(_pq_table(), encoded), self.primaries)
        return _times(_decoded(self.curve, encoded), _to_rec709(self.primaries))

    def from_rec709(self, linear: np.ndarray) -> np.ndarray:
        """The inverse of `to_rec709`."""
        if self.curve == "hlg":
            light = np.maximum(_from_video(linear, self.primaries), 0) * _hlg_white()
            return _hlg_signal(np.clip(light ** (1 / _HLG_GAMMA), 0, 1)).astype(np.float32)
        if self.curve == "pq":
            nits = np.maximum(_from_video(linear, self.primaries), 0) * WHITE_NITS
            return _pq_signal(np.minimum(nits, 10000)).astype(np.float32)
        back = np.linalg.inv(_to_rec709(self.primaries))
        return _encoded(self.curve, _times(linear, back))


def adapted_matrix(primaries: tuple[float, ...]) -> np.ndarray | None:
    """Linear RGB of some primaries to linear Rec.709, white to white (Bradford); None if they
    span no colours."""
    if not all(np.isfinite(primaries)) or primaries[7] <= 0 or min(primaries[1::2]) == 0:
        return None
    try:
        source, target = _to_xyz(primaries), _to_xyz(GAMUTS["Rec.709"])
        if np.linalg.cond(source) > 1e6:
            return None
        bradford = np.array(
            [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
        )
        whites = [bradford @ _white(each) for each in (primaries, GAMUTS["Rec.709"])]
        adapt = np.linalg.inv(bradford) @ np.diag(whites[1] / whites[0]) @ bradford
        return np.linalg.inv(target) @ adapt @ source
    except np.linalg.LinAlgError:
        return None


@functools.cache
def _to_rec709(primaries: tuple[float, ...]) -> np.ndarray:
    matrix = adapted_matrix(primaries)
    assert matrix is not None
    return matrix


def _white(primaries: tuple[float, ...]) -> np.ndarray:
    x, y = primaries[6:8]
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _to_xyz(primaries: tuple[float, ...]) -> np.ndarray:
    pairs = zip(primaries[0:6:2], primaries[1:6:2], strict=True)
    columns = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in pairs]).T
    return columns * np.linalg.solve(columns, _white(primaries))


def _times(values: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    if np.allclose(matrix, np.eye(3), atol=1e-9):
        return values.astype(np.float32, copy=False)
    return (values @ matrix.T).astype(np.float32)


def _as_video(light: np.ndarray, primaries: tuple[float, ...]) -> np.ndarray:
    """Light of a display (white is 1) as the linear values that Rec.709 video of it has here.

    Rec.709 video is shown by a curve of 2.4 (BT.1886) and decoded here by sRGB's, as Blender
    does; HDR video of the same picture must come out the same.
    """
    rec709 = light @ _to_rec709(primaries).T
    return srgb_decode(np.copysign(np.abs(rec709) ** (1 / 2.4), rec709)).astype(np.float32)


def _from_video(linear: np.ndarray, primaries: tuple[float, ...]) -> np.ndarray:
    codes = srgb_encode(linear.astype(np.float64))
    light = np.copysign(np.abs(codes) ** 2.4, codes)
    return light @ np.linalg.inv(_to_rec709(primaries)).T


def _looked_up(table: np.ndarray, encoded: np.ndarray) -> np.ndarray:
    """A curve from 0 to 1, between the entries of its table."""
    place = np.clip(np.nan_to_num(encoded), 0, 1).astype(np.float64) * (_TABLE - 1)
    row = np.minimum(place.astype(np.int32), _TABLE - 2)
    low = table[row]
    return low + (table[row + 1] - low) * (place - row)


@functools.cache
def _hlg_table() -> np.ndarray:
    """Signal to light of a display, diffuse white 1: the system gamma on each channel, as FFmpeg's
    zscale and most players have it."""
    signal = np.linspace(0, 1, _TABLE)
    high = (np.exp((signal - _HLG_C) / _HLG_A) + _HLG_B) / 12
    return np.where(signal <= 0.5, signal**2 / 3, high) ** _HLG_GAMMA / _hlg_white()


def _hlg_white() -> float:
    """Light of diffuse white over the peak's: 75 % of the signal."""
    return float(((np.exp((0.75 - _HLG_C) / _HLG_A) + _HLG_B) / 12) ** _HLG_GAMMA)


def _hlg_signal(scene: np.ndarray) -> np.ndarray:
    high = _HLG_A * np.log(np.maximum(12 * scene - _HLG_B, 1e-12)) + _HLG_C
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), high)


@functools.cache
def _pq_table() -> np.ndarray:
    power = np.linspace(0, 1, _TABLE) ** (1 / _PQ_M2)
    light = (np.maximum(power - _PQ_C1, 0) / (_PQ_C2 - _PQ_C3 * power)) ** (1 / _PQ_M1)
    return light * 10000 / WHITE_NITS


def _pq_signal(nits: np.ndarray) -> np.ndarray:
    power = (nits / 10000) ** _PQ_M1
    return ((_PQ_C1 + _PQ_C2 * power) / (1 + _PQ_C3 * power)) ** _PQ_M2


def _decoded(curve: str, codes: np.ndarray) -> np.ndarray:
    if curve == "linear":
        return codes
    if curve == "srgb":
        return srgb_decode(codes)
    return np.copysign(np.abs(codes) ** float(curve.split()[1]), codes)


def _encoded(curve: str, linear: np.ndarray) -> np.ndarray:
    if curve == "linear":
        return linear
    if curve == "srgb":
        return srgb_encode(linear)
    return np.copysign(np.abs(linear) ** (1 / float(curve.split()[1])), linear)


def srgb_encode(linear: np.ndarray) -> np.ndarray:
    """Linear values by the sRGB curve, of the same type; the negative go on as the line begins."""
    power = np.maximum(linear, 0) ** linear.dtype.type(1 / 2.4)
    curve = linear.dtype.type(1.055) * power - linear.dtype.type(0.055)
    return np.where(linear <= 0.0031308, linear.dtype.type(12.92) * linear, curve)


def srgb_decode(encoded: np.ndarray) -> np.ndarray:
    """The inverse of `srgb_encode`."""
    kind = encoded.dtype.type
    base = np.maximum((encoded + kind(0.055)) / kind(1.055), 0)
    return np.where(encoded <= 0.04045, encoded / kind(12.92), base ** kind(2.4))
