/** The scenarios that run seed after seed: the core under each mix of faults, and the driver over Ports and disks. */
import { runBudgetsWorld } from './budgets/world.ts'
import { runCoalitionsWorld } from './coalitions/world.ts'
import { runDeliveryWorld } from './delivery/world.ts'
import { runPartsWorld } from './parts/world.ts'
import { runPlansWorld } from './plans/world.ts'
import { runPortWorld } from './port/world.ts'
import { MIXES } from './raft/mixes.ts'
import { type Totals as CoreTotals, runWorld } from './raft/world.ts'
import { runResourcesWorld } from './resources/world.ts'
import { runTasksWorld } from './tasks/world.ts'

export type Totals = Readonly<Record<string, number>>

export interface SeedOptions {
  readonly seed: number
  /** Steps under faults, before everything heals. */
  readonly steps: number
  readonly trace?: ((line: string) => void) | undefined
}

export interface Scenario {
  readonly about: string
  /** Under faults in each run, unless told. */
  readonly steps: number
  /** What must have happened: in many runs, each at least once in twenty. */
  readonly needed: readonly string[]
  /** Throws what it found wrong. */
  run(options: SeedOptions): Promise<Totals>
}

const ALWAYS = ['elections', 'snapshots', 'acknowledged', 'reads'] as const satisfies readonly (keyof CoreTotals)[]
const DEATHS = ['crashes', 'restores', 'retried'] as const satisfies readonly (keyof CoreTotals)[]
const CHANGES = ['changes'] as const satisfies readonly (keyof CoreTotals)[]

/** What only some mixes have. */
const NEEDED: Readonly<Record<string, readonly (keyof CoreTotals)[]>> = {
  all: [...DEATHS, ...CHANGES, 'lostDisks', 'partitions', 'freezes', 'transfers'],
  churn: [...DEATHS, ...CHANGES, 'lostDisks', 'partitions', 'transfers'],
  elections: [...DEATHS, 'freezes'],
  partitions: ['partitions', 'restores', 'retried'],
  'one-way': ['partitions', 'restores', 'retried'],
  disks: [...DEATHS, ...CHANGES, 'lostDisks'],
  freezes: ['freezes', 'transfers', 'retried'],
}

const CORE_STEPS = 2_000
const DRIVER_STEPS = 10_000
const DELIVERY_STEPS = 2_500
const PARTS_STEPS = 60
const TASKS_STEPS = 25
const RESOURCES_STEPS = 40
const BUDGETS_STEPS = 40
const PLANS_STEPS = 40
const COALITIONS_STEPS = 40

export const SCENARIOS: Readonly<Record<string, Scenario>> = {
  ...Object.fromEntries(
    Object.entries(MIXES).map(([name, mix]): [string, Scenario] => [
      name,
      {
        about: mix.about,
        steps: CORE_STEPS,
        needed: [...ALWAYS, ...(NEEDED[name] ?? [])],
        run: async (options) => ({ ...runWorld({ ...options, mix }) }),
      },
    ]),
  ),
  driver: {
    about: 'the driver with its store over Ports: kills, power cuts, full, slow, failing and lost disks, cuts',
    steps: DRIVER_STEPS,
    needed: [
      ...['elections', 'snapshots', 'restores', 'crashes', 'powerCuts', 'fullDisks', 'failedSyncs', 'slowDisks'],
      ...['lostDisks', 'changes', 'partitions', 'freezes', 'transfers', 'lost', 'doubled'],
      ...['acknowledged', 'retried', 'reads', 'contestedReads', 'deathsInFiles'],
    ],
    run: async (options) => ({ ...(await runPortWorld(options)) }),
  },
  parts: {
    about: 'a part of others on nodes that are killed, cut off and started without it: what it decided counts once',
    steps: PARTS_STEPS,
    needed: ['acknowledged', 'kills', 'cuts', 'without', 'woken'],
    run: async (options) => ({ ...(await runPartsWorld(options)) }),
  },
  tasks: {
    about:
      'tasks on nodes that are killed, lose power, copies of large values and connections: each ends once, no recorded effect runs again',
    steps: TASKS_STEPS,
    needed: [
      ...['completed', 'failed', 'canceled', 'expired', 'kills', 'powerCuts', 'cuts', 'freezes', 'leaves', 'pauses'],
      ...['outages', 'rolls', 'again', 'repeated', 'slept', 'given', 'late', 'children', 'watched', 'ticks'],
      ...['inputLost', 'kept', 'damaged', 'lostCopies', 'lostValues', 'read', 'moved', 'forgotten'],
      ...['draws', 'exhausted', 'cheats', 'cameBack', 'submittedAgain', 'parts'],
    ],
    run: async (options) => ({ ...(await runTasksWorld(options)) }),
  },
  resources: {
    about:
      'resources on nodes that are killed, lose power, are frozen and cut off: never more is given than there is, gangs whole or not at all',
    steps: RESOURCES_STEPS,
    needed: [
      ...['granted', 'gangs', 'denied', 'expired', 'preempted', 'had', 'released', 'lost', 'claimed'],
      ...['kills', 'powerCuts', 'cuts', 'freezes', 'leaves', 'outages'],
    ],
    run: async (options) => ({ ...(await runResourcesWorld(options)) }),
  },
  budgets: {
    about:
      'budgets whose holders are killed, lose power, are frozen and cut off: nobody spends more than there is, and what was drawn never comes back',
    steps: BUDGETS_STEPS,
    needed: [
      ...['opened', 'loans', 'taken', 'draws', 'expired', 'closed', 'forgotten', 'spends', 'chunked', 'settled'],
      ...['refused', 'away', 'kills', 'powerCuts', 'cuts', 'freezes', 'leaves', 'outages'],
    ],
    run: async (options) => ({ ...(await runBudgetsWorld(options)) }),
  },
  plans: {
    about:
      'plans while coordinators, agents and owners are killed, lose power, are frozen and cut off, and agents refuse: tasks are at who their plan says, and each plan ends',
    steps: PLANS_STEPS,
    needed: [
      ...['made', 'completed', 'failed', 'canceled', 'resumed', 'adjusted', 'moved', 'retried', 'refused', 'directed'],
      ...['worked', 'kills', 'powerCuts', 'cuts', 'freezes', 'outages', 'wholes', 'given'],
    ],
    run: async (options) => ({ ...(await runPlansWorld(options)) }),
  },
  coalitions: {
    about:
      'coalitions while coordinators, members and proposers are killed, lose power, are frozen and cut off, and members refuse: who leads is one, and each ends',
    steps: COALITIONS_STEPS,
    needed: [
      ...['proposed', 'formed', 'unformed', 'dissolved', 'expired', 'led', 'shrunk', 'resumed', 'active', 'failed'],
      ...['refused', 'leaves', 'left', 'ends', 'taken', 'refusals', 'kills', 'powerCuts', 'cuts', 'freezes'],
      ...['outages'],
    ],
    run: async (options) => ({ ...(await runCoalitionsWorld(options)) }),
  },
  intruder: {
    about:
      'the same, and a member of the mesh without a vote, that lies: forged votes, entries, snapshots, terms and reads',
    steps: DRIVER_STEPS,
    needed: [
      'elections',
      'snapshots',
      'restores',
      'crashes',
      'lostDisks',
      'changes',
      'acknowledged',
      'forged',
      'doubted',
    ],
    run: async (options) => ({ ...(await runPortWorld({ ...options, hasIntruder: true })) }),
  },
  delivery: {
    about:
      'durable messages: kills, power cuts, sick, lost and restored disks, lost frames, programs that fail or hang',
    steps: DELIVERY_STEPS,
    needed: [
      ...['crashes', 'powerCuts', 'stops', 'partitions', 'freezes', 'fullDisks', 'failingDisks', 'slowDisks'],
      ...['lostDisks', 'setBack', 'deathsAfterEffects', 'clockJumps', 'moods', 'withoutPrograms', 'lost', 'doubled'],
      ...['accepted', 'refused', 'processed', 'delivered', 'dead', 'away'],
      ...['delivery moved', 'delivery receiverGone'],
    ],
    run: runDeliveryWorld,
  },
}
