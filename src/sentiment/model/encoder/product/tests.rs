#![expect(clippy::expect_used, reason = "a test that cannot go on should panic")]

use super::super::weights::{Layer, WIDTH, Weights};
use super::*;
use crate::sentiment::model::ENCODER;

/// Numbers that look like a layer's, the same in every run.
fn numbers(count: usize) -> Vec<f32> {
    let mut random = fastrand::Rng::with_seed(7);
    (0..count).map(|_| (random.f32() - 0.4) * 6.0).collect()
}

/// What each kernel makes of some tokens and three panels.
fn results<const QUADS: usize>(linear: &Linear<QUADS>, tokens: usize) -> Vec<Vec<f32>> {
    let mut levels = Levels::default();
    levels.fill(&numbers(tokens * QUADS * QUAD));
    Kernel::all()
        .map(|kernel| {
            let mut out = vec![f32::NAN; tokens * 3 * LANES];
            kernel.multiply(linear, 2..5, &levels, &mut out);
            out
        })
        .collect()
}

#[test]
fn all_kernels_come_to_the_same_numbers_for_any_number_of_tokens() {
    let weights = Weights::read(ENCODER).expect("the program's own");
    let Layer { qkv, down, .. } = &weights.layers[5];
    for tokens in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 25, 73] {
        for results in [results(qkv, tokens), results(down, tokens)] {
            assert!(results.iter().flatten().all(|number| number.is_finite()), "{tokens} tokens: some are left out");
            for result in &results {
                assert_eq!(result, &results[0], "{tokens} tokens");
            }
        }
    }
}

#[test]
fn a_product_in_levels_is_near_the_product_in_floats() {
    let weights = Weights::read(ENCODER).expect("the program's own");
    let linear = &weights.layers[1].up;
    let x = numbers(5 * WIDTH);
    let mut levels = Levels::default();
    levels.fill(&x);
    let mut out = vec![0.0; 5 * LANES];
    Kernel::fastest().multiply(linear, 3..4, &levels, &mut out);
    let panel = linear.panel(3);
    for (x, out) in x.chunks_exact(WIDTH).zip(out.chunks_exact(LANES)) {
        for (lane, out) in out.iter().enumerate() {
            let weight = |input: usize| f32::from(panel.weights[input / QUAD][lane * QUAD + input % QUAD]);
            let sum: f32 = x.iter().enumerate().map(|(input, x)| x * weight(input) * panel.scale[lane]).sum();
            let most: f32 = (0..WIDTH).map(|input| (weight(input) * panel.scale[lane]).abs()).sum();
            // Half a level's width is the most by which a number may be off.
            let bound = most * 6.0 / LEVELS / 2.0;
            assert!((out - panel.bias[lane] - sum).abs() < bound, "output {lane}: {out}, in floats {sum}");
        }
    }
}

#[test]
fn numbers_that_are_all_alike_have_levels_too() {
    for x in [0.0, 3.5, -2.0] {
        let mut levels = Levels::<4>::default();
        levels.fill(&[x; 16]);
        let level = f32::from(levels.rows[0][0][0]) - levels.zeros[0] as f32;
        assert!((level * levels.scales[0] - x).abs() < 1e-5, "{x} is level {level} of {}", levels.scales[0]);
    }
}
