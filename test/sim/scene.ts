/**
 * What the worlds of parts of the journal have in common: a mesh and chance that follow from the seed, lines for whoever reads
 * along, and what is wrong. State: the mesh, and the problems.
 */
import { createJournalMesh, type JournalMesh } from '../support/journal-mesh.ts'

export interface SceneOptions {
  readonly seed: number
  readonly steps: number
  readonly trace?: ((line: string) => void) | undefined
}

/** Nodes with clocks that differ by more than that do not talk to each other. */
const MOST_APART_MS = 60_000

const differs = (seed: number): boolean => seed % 2 === 1

/** In every second world the clocks of nodes differ, as much as may be, and stay so when they are started again. */
const clockAheadMs =
  (seed: number) =>
  (name: string): number => {
    if (!differs(seed)) return 0
    let mixed = seed
    for (const char of name) mixed = Math.imul(mixed ^ char.charCodeAt(0), 0x9e3779b1) >>> 0
    return mixed % MOST_APART_MS
  }

export class Scene {
  readonly mesh: JournalMesh
  readonly random: () => number
  readonly problems: string[] = []
  /** The clocks of its nodes do. */
  readonly clocksDiffer: boolean
  readonly #trace: SceneOptions['trace']

  /** @param snapshotEvery entries of the journal */
  constructor({ seed, trace }: SceneOptions, snapshotEvery: number) {
    this.mesh = createJournalMesh({
      ...{ seed, snapshotEvery, clockAheadMs: clockAheadMs(seed) },
      autopilot: { stableMs: 1_000, replaceAfterMs: 600_000 },
    })
    this.random = this.mesh.network.random
    this.clocksDiffer = differs(seed)
    this.#trace = trace
  }

  tell = (line: string): void => this.#trace?.(`${Math.round(this.mesh.time.now())} ${line}`)

  problem = (what: string): void => void this.problems.push(what)

  /** @throws the first problem */
  requireWell(): void {
    const [first] = this.problems
    if (first !== undefined) throw new Error(first)
  }

  happens(share: number): boolean {
    return this.random() < share
  }

  below(count: number): number {
    return Math.floor(this.random() * count)
  }

  anyOf<T>(some: Iterable<T>): T | undefined {
    const all = [...some]
    return all[this.below(all.length)]
  }

  /** Virtual milliseconds pass. */
  pass([least, most]: readonly [number, number]): Promise<void> {
    return this.mesh.time.run(least + this.random() * (most - least))
  }

  /**
   * @param what is in the way: undefined, nothing
   * @param look called each `everyMs`
   * @throws what is in the way after `mostMs`, and what `look` throws
   */
  async until(
    what: () => string | undefined,
    { everyMs, mostMs, look }: { readonly everyMs: number; readonly mostMs: number; look(): void },
  ): Promise<void> {
    const { time } = this.mesh
    const until = time.now() + mostMs
    for (let why = what(); why !== undefined; why = what()) {
      if (time.now() > until) throw new Error(why)
      await time.run(everyMs)
      look()
    }
  }
}
