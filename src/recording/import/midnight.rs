//! Clocks that begin again at midnight, in whichever format.

use super::call::Piece;
use super::times::DAY_MS;

/// Moves what was said after midnight to the next day. A clock that went back by half a day has passed midnight: no call
/// is so long.
pub(super) fn pass(pieces: &mut [Piece]) {
    let mut latest = 0;
    let passed = |at: i64, latest: i64| {
        if (0..DAY_MS).contains(&at) && latest - at > DAY_MS / 2 && latest < 2 * DAY_MS { at + DAY_MS } else { at }
    };
    for piece in pieces {
        let Some(start) = piece.start else { continue };
        let start = passed(start, latest);
        latest = latest.max(start);
        piece.start = Some(start);
        piece.end = piece.end.map(|end| passed(end, start));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(times: &[(i64, i64)]) -> Vec<(i64, i64)> {
        let piece = |(start, end): &(i64, i64)| Piece { start: Some(*start), end: Some(*end), ..Piece::default() };
        let mut pieces: Vec<Piece> = times.iter().map(piece).collect();
        pass(&mut pieces);
        pieces.iter().filter_map(|piece| piece.start.zip(piece.end)).collect()
    }

    #[test]
    fn what_is_said_after_midnight_is_said_later() {
        let day = DAY_MS;
        let told = passed(&[(day - 2000, 1000), (4000, 5000), (9000, 9500)]);
        assert_eq!(told, [(day - 2000, day + 1000), (day + 4000, day + 5000), (day + 9000, day + 9500)]);
        // Each party in a block of its own.
        let told = passed(&[(day - 2000, day - 1000), (9000, 9500), (day - 500, 100), (4000, 5000)]);
        assert_eq!(told[2..], [(day - 500, day + 100), (day + 4000, day + 5000)]);
        // Rows that stand in any order on one day.
        let rows = [(9_000_000, 9_001_000), (1000, 2000), (5_000_000, 5_001_000)];
        assert_eq!(passed(&rows), rows);
    }
}
