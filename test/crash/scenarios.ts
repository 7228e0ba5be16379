/** The scenarios by name, each on a stage of its own, with its full numbers. Keeps no state. */
import { type Findings, messageOf, play, type Scene } from './play.ts'
import { allKilled } from './scenarios/all-killed.ts'
import { allStopped } from './scenarios/all-stopped.ts'
import { blocked } from './scenarios/blocked.ts'
import { damaged, damagedAlone } from './scenarios/damaged.ts'
import { freezes } from './scenarios/freezes.ts'
import { fullDisk, fullDiskAlone } from './scenarios/full-disk.ts'
import { kills } from './scenarios/kills.ts'
import { rolling } from './scenarios/rolling.ts'
import { createSmallDisk, noSmallDisk, type SmallDisk } from './small-disk.ts'
import { NAMES, openStage, type StageOptions, type Verdict } from './stage.ts'

export interface Run {
  readonly seed: number
  readonly kills: number
  /** Of messages. */
  readonly rounds: number
  readonly slowSeconds: number
  /** Of stores on a disk. */
  readonly flips: number
  readonly tears: number
  readonly tasks: number
  say(line: string): void
}

export interface Scenario {
  readonly name: string
  readonly about: string
  /** Why it cannot be played here. */
  skip?(): string | undefined
  play(run: Run): Promise<Verdict>
}

/** The design document's floor, section 8. */
const P99_MS = 2_000
const OTHER_ACTS_MS = 2_000
const GAP_MS = 2_500
/** Milliseconds between two directives, where they are what it is about. */
const OFTEN_MS = 20

const onStage = async (options: StageOptions, scene: Scene): Promise<Verdict> => {
  const stage = await openStage(options)
  let verdict: Verdict | undefined
  try {
    verdict = await play(stage, scene)
    return verdict
  } finally {
    const isWrong = verdict === undefined || verdict.violations.length > 0
    if (isWrong) stage.say(`what the nodes had and said is kept in ${stage.folder}`)
    await stage.end({ keep: isWrong })
  }
}

const plain = (
  name: string,
  about: string,
  scene: (run: Run) => Scene,
  more: Partial<StageOptions> = {},
): Scenario => ({
  name,
  about,
  play: (run) => onStage({ seed: run.seed, say: run.say, ...more }, scene(run)),
})

/** On a stage of which one node lives on a small disk. */
const onSmallDisk = (
  name: string,
  about: string,
  count: number,
  scene: (disk: SmallDisk) => (...given: Parameters<Scene>) => Promise<Findings>,
): Scenario => ({
  name,
  about,
  skip: noSmallDisk,
  async play({ seed, say }) {
    const disk = createSmallDisk()
    const dataDirOf = (node: string) => (node === NAMES[0] ? `${disk.path}/${node}` : undefined)
    try {
      return await onStage({ seed, say, count, dataDirOf }, scene(disk))
    } finally {
      disk.remove()
    }
  },
})

export const SCENARIOS: readonly Scenario[] = [
  plain('kills', 'the coordinator is killed again and again', (run) => kills({ kills: run.kills, p99Ms: P99_MS })),
  plain(
    'freezes',
    'the coordinator is frozen for 3 s, 10 times',
    () => freezes({ freezes: 10, otherActsMs: OTHER_ACTS_MS }),
    { directEveryMs: OFTEN_MS },
  ),
  plain('all-killed', 'all are killed at once and started again, 5 times', () => allKilled({ rounds: 5 })),
  plain('rolling', 'each in turn is stopped and started again, twice round', () =>
    rolling({ rounds: 2, gapMs: GAP_MS }),
  ),
  plain('all-stopped', 'all are stopped in order and started again, 3 times', () => allStopped({ rounds: 3 })),
  plain('blocked', 'an event loop is blocked for 5 s', () => blocked({ ms: 5_000, afterMs: 3_000, gapMs: GAP_MS }), {
    directEveryMs: OFTEN_MS,
  }),
  plain('blocked-long', 'the same for 8 s: connections are given up meanwhile', () =>
    blocked({ ms: 8_000, afterMs: 3_000, gapMs: GAP_MS }),
  ),
  onSmallDisk('full-disk', "the coordinator's disk has no room", NAMES.length, fullDisk),
  onSmallDisk('full-disk-alone', 'the disk of the only voter has no room', 1, fullDiskAlone),
  plain('damaged', "a voter's log is changed, zeroed, cut or gone", () => damaged),
  plain('damaged-alone', 'the same with the only voter', () => damagedAlone, { count: 1 }),
]

/** What a scenario that could not be played says. */
export const broken = (error: unknown): Verdict => ({
  figures: {},
  violations: [`it could not be played: ${messageOf(error)}`],
})
