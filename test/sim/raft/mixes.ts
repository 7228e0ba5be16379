/**
 * Named mixes of faults: which misfortunes a simulated group meets, and how often. A mix leaves out what would hide what it
 * is there to show; `all` has everything.
 */

export const FAULTS = [
  'crash',
  'power',
  'sides',
  'sides one way',
  'pair',
  'pair one way',
  'freeze',
  'wires',
  'transfer',
  'campaign',
  'replace',
  'lose disk',
] as const
export type Fault = (typeof FAULTS)[number]

export interface Mix {
  /** What it shows, for the list of known ones. */
  readonly about: string
  /** How likely each fault is beside the others; one that is not named does not happen. */
  readonly faults: Partial<Record<Fault, number>>
  /** Milliseconds between two faults, least and most. */
  readonly faultMs: readonly [number, number]
  /** Milliseconds after which the operator takes the next step towards the members that it wants. */
  readonly operatorMs: number
  /** Share of the changes of members at which the network falls apart before anybody hears of them. */
  readonly cutAtChange: number
  /** How much more often than usual members die on their own, between two writes or after what they said. */
  readonly dies: number
}

const EVERYTHING: Mix = {
  about: 'every fault there is',
  faults: {
    crash: 2,
    power: 2,
    sides: 1.2,
    'sides one way': 0.8,
    pair: 1,
    'pair one way': 1,
    freeze: 2,
    wires: 2,
    transfer: 2,
    campaign: 2,
    replace: 1,
    'lose disk': 1,
  },
  faultMs: [50, 700],
  operatorMs: 250,
  cutAtChange: 0,
  dies: 1,
}

const only = (about: string, faults: Mix['faults'], more: Partial<Mix> = {}): Mix => ({
  ...EVERYTHING,
  about,
  dies: 0,
  ...more,
  faults,
})

export const MIXES: Readonly<Record<string, Mix>> = {
  all: EVERYTHING,
  churn: only(
    'voters are replaced all the while, and the network falls apart while it is decided who votes',
    { replace: 6, 'lose disk': 1, crash: 1, campaign: 1, sides: 1, transfer: 1 },
    { operatorMs: 60, cutAtChange: 0.3, faultMs: [50, 400], dies: 0.3 },
  ),
  elections: only(
    'several stand at once, stand still, and die after what they promised',
    { campaign: 6, freeze: 6, wires: 2 },
    { faultMs: [20, 300], dies: 2 },
  ),
  partitions: only('sides that cannot reach each other, and lines between two that are cut', { sides: 3, pair: 2 }),
  'one-way': only('who is heard and does not hear', { 'sides one way': 2, 'pair one way': 2, campaign: 1 }),
  disks: only(
    'power cuts, disks that are lost, members that die between two writes',
    { power: 2, crash: 3, 'lose disk': 2 },
    { dies: 5 },
  ),
  freezes: only('processes that stand still for seconds and go on', { freeze: 4, transfer: 1 }),
  quiet: only('messages that are late, doubled and lost, and nothing else', { wires: 1 }),
}
