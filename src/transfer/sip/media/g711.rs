//! ITU-T G.711: the two codecs that every phone has.

/// A codec of RTP's audio profile (RFC 3551 section 4.5.14), at 8000 Hz.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// µ-law, PCMU.
    Pcmu,
    /// A-law, PCMA.
    Pcma,
}

impl Codec {
    /// Both, the preferred one first.
    pub const ALL: [Self; 2] = [Self::Pcmu, Self::Pcma];

    /// Its static payload type (RFC 3551 section 6).
    #[must_use]
    pub fn payload_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
        }
    }

    /// Its encoding name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
        }
    }

    /// A linear sample's code.
    #[must_use]
    pub fn encode(self, sample: i16) -> u8 {
        match self {
            Self::Pcmu => mu_encode(sample),
            Self::Pcma => a_encode(sample),
        }
    }

    /// A code's linear sample.
    #[must_use]
    pub fn decode(self, code: u8) -> i16 {
        match self {
            Self::Pcmu => mu_decode(code),
            Self::Pcma => a_decode(code),
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "an exponent of 0 to 7 and a mantissa of 4 bits fit")]
fn mu_encode(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = sample.unsigned_abs().min(32_635) + 132;
    let exponent = 8 - magnitude.leading_zeros();
    let mantissa = (magnitude >> (exponent + 3)) & 0x0F;
    !(sign | ((exponent as u8) << 4) | mantissa as u8)
}

fn mu_decode(code: u8) -> i16 {
    let code = !code;
    let magnitude = (((i16::from(code & 0x0F) << 3) + 132) << ((code & 0x70) >> 4)) - 132;
    if code & 0x80 == 0 { magnitude } else { -magnitude }
}

#[expect(clippy::cast_possible_truncation, reason = "a segment of 0 to 7 and a step of 4 bits fit")]
fn a_encode(sample: i16) -> u8 {
    let (mask, magnitude) = if sample < 0 { (0x55, !sample >> 3) } else { (0xD5, sample >> 3) };
    let segment = (0..8).find(|segment| magnitude < 0x20 << segment).unwrap_or(7);
    let step = (magnitude >> segment.max(1)) & 0x0F;
    ((segment << 4) as u8 | step as u8) ^ mask
}

fn a_decode(code: u8) -> i16 {
    let code = code ^ 0x55;
    let step = i16::from(code & 0x0F) << 4;
    let magnitude = match (code & 0x70) >> 4 {
        0 => step + 8,
        segment => (step + 0x108) << (segment - 1),
    };
    if code & 0x80 == 0 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_codes_come_out() {
        for (sample, mu, a) in
            [(0, 0xFF, 0xD5), (32_767, 0x80, 0xAA), (-32_768, 0x00, 0x2A), (1_000, 0xCE, 0xFA), (-1_000, 0x4E, 0x7A)]
        {
            assert_eq!((Codec::Pcmu.encode(sample), Codec::Pcma.encode(sample)), (mu, a), "{sample}");
        }
    }

    #[test]
    fn every_code_is_the_code_of_its_sample() {
        for codec in Codec::ALL {
            for code in 0..=u8::MAX {
                let again = codec.encode(codec.decode(code));
                // µ-law has two zeros.
                assert!(again == code || codec.decode(code) == 0, "{codec:?} {code:#x} {again:#x}");
            }
        }
    }

    #[test]
    fn no_sample_is_far_from_its_code() {
        for codec in Codec::ALL {
            for sample in i16::MIN..=i16::MAX {
                let error = (i32::from(codec.decode(codec.encode(sample))) - i32::from(sample)).abs();
                assert!(error <= 16 + i32::from(sample).abs() / 16, "{codec:?} {sample}: {error}");
            }
        }
    }
}
