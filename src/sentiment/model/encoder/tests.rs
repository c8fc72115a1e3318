#![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use serde::Deserialize;

use super::*;
use crate::sentiment::model::ENCODER;
use crate::sentiment::{ContextTurn, TurnInContext};

#[derive(Deserialize)]
struct Golden {
    text: String,
    earlier: Vec<ContextTurn>,
    rows: Vec<usize>,
    own: usize,
    heads: [f32; HEADS],
}

#[test]
fn the_program_scores_as_the_recipe_does() {
    let rows: Vec<Golden> = serde_json::from_str(include_str!("../encoder-golden.json")).unwrap();
    assert!(rows.len() >= 80);
    let encoder = Encoder::read(ENCODER).unwrap();
    let count = rows.len() as f32;
    let mut apart = 0.0;
    for row in rows {
        let turn = TurnInContext { text: row.text.clone(), lang: None, earlier: row.earlier };
        let view = View::of(&turn);
        let tokens = Tokens::of(&view, &encoder.weights.pieces);
        assert_eq!((&tokens.rows, tokens.own), (&row.rows, row.own), "{:?}", row.text);
        let heads = encoder.score(&view);
        // Floats are added in another order there, and a level that lies between two may round the other way. That moves
        // most turns by nothing to speak of, odd ones by up to a tenth, and the odds of what is unlikely by more.
        for (head, (mine, golden)) in heads.iter().zip(row.heads).enumerate() {
            let most = if head == 0 { 0.12 } else { 0.4 };
            assert!((mine - golden).abs() < most, "{:?}: {heads:?} here, {:?} in the recipe", row.text, row.heads);
        }
        apart += (heads[0] - row.heads[0]).abs() / count;
    }
    assert!(apart < 0.01, "sentiment is {apart} apart on average");
}

#[test]
fn an_encoder_for_other_pieces_or_cut_short_is_refused() {
    assert!(matches!(Encoder::read(b"nope").err(), Some(WeightsError::Magic)));
    for length in [10, 5_000, ENCODER.len() - 1] {
        assert!(matches!(Encoder::read(&ENCODER[..length]).err(), Some(WeightsError::Size { .. })), "{length}");
    }
    let mut other = ENCODER.to_vec();
    other[4] ^= 1;
    assert!(matches!(Encoder::read(other.leak()).err(), Some(WeightsError::Mismatch { .. })));
}
