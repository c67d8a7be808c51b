/**
 * English words by what they say. A family is a set of values of which a thing has one: its members lie apart in a
 * space, and members at least `apart` from each other cannot both be true of one thing.
 */
export interface Family {
  readonly name: string;
  readonly kind: "attribute" | "object" | "action";
  readonly apart: number;
  readonly places: ReadonlyMap<string, readonly number[]>;
  /** Members that an edit may write; the others are only recognised. */
  readonly common: readonly string[];
}

/** CIE L*a*b* of each name's focal colour, rounded. */
const COLOURS: Readonly<Record<string, readonly number[]>> = {
  black: [5, 0, 0],
  white: [98, 0, 0],
  grey: [54, 0, 0],
  gray: [54, 0, 0],
  red: [50, 72, 54],
  green: [50, -55, 48],
  blue: [45, 10, -60],
  yellow: [92, -10, 85],
  orange: [68, 42, 72],
  purple: [32, 52, -45],
  pink: [80, 32, 3],
  brown: [38, 22, 32],
  tan: [75, 5, 25],
  beige: [90, 0, 15],
  gold: [80, 3, 78],
  golden: [80, 3, 78],
  silver: [77, 0, -2],
  violet: [40, 56, -55],
  maroon: [25, 45, 25],
  navy: [15, 15, -40],
  turquoise: [80, -40, -5],
  teal: [48, -30, -8],
  cyan: [85, -45, -18],
  magenta: [55, 85, -45],
};

/** Place on the scale from small to big; words nearer than `apart` may both be said of one thing. */
const SIZES: Readonly<Record<string, readonly number[]>> = {
  tiny: [-1.5],
  small: [-1],
  little: [-1],
  medium: [0],
  "medium-sized": [0],
  big: [1],
  large: [1],
  huge: [1.5],
  enormous: [1.6],
};

const OPPOSITES: readonly (readonly [string, string])[] = [
  ["tall", "short"],
  ["wide", "narrow"],
  ["thick", "thin"],
  ["full", "empty"],
  ["open", "closed"],
  ["wet", "dry"],
  ["hot", "cold"],
  ["old", "new"],
  ["clean", "dirty"],
  ["dark", "bright"],
  ["straight", "curved"],
  ["smooth", "rough"],
  ["heavy", "light"],
  ["indoor", "outdoor"],
  ["cooked", "raw"],
  ["sunny", "rainy"],
];

const MATERIALS = ["wooden", "metal", "plastic", "glass", "stone", "leather"] as const;
const POSTURES = ["standing", "sitting", "lying"] as const;
const MOVES = ["walking", "running", "jumping", "swimming", "flying", "sleeping"] as const;

/** Things by category, then by group: a near miss stays in the group, a plain one in the category. No word here may hold of another's thing. */
const THINGS: Readonly<Record<string, readonly (readonly string[])[]>> = {
  shape: [
    ["circle", "oval"],
    ["square", "triangle"],
    ["pentagon", "hexagon"],
    ["star", "heart", "cross"],
  ],
  person: [
    ["man", "boy"],
    ["woman", "girl"],
  ],
  animal: [
    ["dog", "cat", "rabbit"],
    ["cow", "horse", "sheep", "goat", "pig"],
    ["bear", "elephant", "giraffe", "zebra", "lion", "tiger"],
    ["duck", "chicken", "owl"],
  ],
  vehicle: [["car", "truck", "bus", "van"], ["bicycle", "motorcycle"], ["airplane", "helicopter"], ["boat"], ["train"]],
  furniture: [["chair", "sofa", "bench"], ["table", "shelf"], ["bed"], ["lamp"]],
  food: [
    ["apple", "banana", "pear"],
    ["carrot", "broccoli", "tomato"],
    ["pizza", "sandwich", "cake", "doughnut"],
  ],
  tableware: [
    ["cup", "bowl", "plate", "bottle"],
    ["fork", "knife", "spoon"],
  ],
  device: [
    ["laptop", "phone", "television"],
    ["camera", "clock"],
  ],
  toy: [
    ["frisbee", "kite", "ball"],
    ["skateboard", "surfboard", "snowboard"],
  ],
  clothing: [
    ["hat", "helmet"],
    ["shirt", "jacket"],
    ["tie", "scarf"],
    ["shoe", "glove"],
  ],
};

function scale(
  name: string,
  words: Readonly<Record<string, readonly number[]>>,
  apart: number,
  common: readonly string[],
): Family {
  return { name, kind: "attribute", apart, places: new Map(Object.entries(words)), common };
}

/** Members that are all equally far from each other. */
function alternatives(name: string, kind: Family["kind"], words: readonly string[]): Family {
  const places = words.map((word, i) => [word, words.map((_, j) => (i === j ? 1 : 0))] as const);
  return { name, kind, apart: 1, places: new Map(places), common: words };
}

export const FAMILIES: readonly Family[] = [
  scale("colour", COLOURS, 45, [
    "black",
    "white",
    "grey",
    "red",
    "green",
    "blue",
    "yellow",
    "orange",
    "purple",
    "pink",
    "brown",
  ]),
  scale("size", SIZES, 0.9, ["small", "medium", "big", "large"]),
  ...OPPOSITES.map((pair) => alternatives(pair.join("/"), "attribute", pair)),
  alternatives("material", "attribute", MATERIALS),
  alternatives("posture", "action", POSTURES),
  alternatives("movement", "action", MOVES),
];

export interface Thing {
  readonly category: string;
  readonly group: number;
}
/** Singular nouns that can be exchanged. */
export const NOUNS: ReadonlyMap<string, Thing> = new Map(
  Object.entries(THINGS).flatMap(([category, groups]) =>
    groups.flatMap((words, group) => words.map((word) => [word, { category, group }] as const)),
  ),
);

export const YES_NO = new Set(["yes", "no", "yeah", "yep", "nope"]);
export const NEGATORS = new Set([
  "no",
  "not",
  "never",
  "none",
  "nothing",
  "nobody",
  "neither",
  "nor",
  "without",
  "cannot",
]);
export const RELATION_WORDS = new Set(
  (
    "left right above below under underneath beneath over on onto off top bottom behind front beside next near nearby inside outside in into out " +
    "between middle centre center corner upper lower up down at by against along across around through toward towards away far close " +
    "amid among within atop opposite"
  ).split(" "),
);
export const VAGUE_QUANTITIES = new Set(
  "several many few some multiple couple pair dozen dozens lots lot single solitary numerous various both all bunch group".split(
    " ",
  ),
);
export const TIME_WORDS = new Set(
  "before after first then last later earlier next finally previously while until when during".split(" "),
);

/** Comparatives and superlatives with their opposites; read both ways. */
export const COMPARATIVES: readonly (readonly [string, string])[] = [
  ["more", "fewer"],
  ["most", "fewest"],
  ["bigger", "smaller"],
  ["larger", "smaller"],
  ["biggest", "smallest"],
  ["largest", "smallest"],
  ["taller", "shorter"],
  ["tallest", "shortest"],
  ["longer", "shorter"],
  ["longest", "shortest"],
  ["higher", "lower"],
  ["highest", "lowest"],
  ["wider", "narrower"],
  ["widest", "narrowest"],
  ["thicker", "thinner"],
  ["thickest", "thinnest"],
  ["heavier", "lighter"],
  ["heaviest", "lightest"],
  ["older", "younger"],
  ["oldest", "youngest"],
  ["faster", "slower"],
  ["fastest", "slowest"],
  ["closer", "farther"],
  ["closest", "farthest"],
  ["darker", "brighter"],
  ["darkest", "brightest"],
  ["hotter", "colder"],
  ["better", "worse"],
];
export const COMPARISON_WORDS = new Set([
  ...COMPARATIVES.flat(),
  "less",
  "least",
  "as",
  "than",
  "same",
  "equal",
  "equally",
  "nearer",
  "further",
]);

const FAMILY_OF: ReadonlyMap<string, Family> = new Map(
  FAMILIES.flatMap((f) => [...f.places.keys()].map((word) => [word, f] as const)),
);

/** The family a word is a member of. */
export function familyOf(word: string): Family | undefined {
  return FAMILY_OF.get(word);
}
