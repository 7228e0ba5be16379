/**
 * Large values in the simulated world of tasks: copies of them are damaged and lost, one node stays away at the end, and what was
 * promised of them is looked at. State: what is known of the values.
 */
import { isParleyError } from '../../../../protocols/errors.ts'
import { COPIES } from '../../../../protocols/task/bytes/holder-requests.ts'
import type { TaskState } from '../../../../protocols/task/client/task-api.ts'
import type { JournalMesh } from '../../../support/journal-mesh.ts'
import { AWAY_MS, CARE } from '../node-tasks.ts'
import type { TaskNodes } from '../nodes.ts'
import type { KnownTask } from '../plan.ts'
import type { HeldCopies } from './held-copies.ts'
import { DETECT_MS } from './presence.ts'
import { ValueObserver } from './value-observer.ts'

/** Of steps: in which a copy is damaged, and in which all copies of a value are. */
const DAMAGED_SHARE = 0.05
const LOST_SHARE = 0.02
/** For a read of the journal. */
const READ_MS = 10_000
/** A look of each node, one more for what that one changed, and what they send. */
const CARED_MS = 2 * CARE.lookMs + 1_000
/** It is known to be away, for as long as it may be; then it is looked at. */
const REPLACED_MS = DETECT_MS + AWAY_MS + CARED_MS
const RESULT_MS = AWAY_MS + 5_000
/** What was copied in vain is one of those. */
/** Of holders, until one of them has what it lost. */
const MENDED_LOOKS = 4
const FORGOTTEN_MS = CARE.orphanMs + 2 * CARE.lookMs
/** Of runs: in which that is waited for, and in which one stays away. Each takes as long as all that was before. */
const FORGET_SHARE = 0.2
const AWAY_SHARE = 0.4

export class LargeValues {
  readonly #mesh: JournalMesh
  readonly #nodes: TaskNodes
  readonly #copies: HeldCopies
  readonly #problems: string[]
  readonly #observer: ValueObserver
  readonly #counts = { read: 0, moved: 0, forgotten: 0 }

  constructor(mesh: JournalMesh, nodes: TaskNodes, copies: HeldCopies, problems: string[]) {
    this.#mesh = mesh
    this.#nodes = nodes
    this.#copies = copies
    this.#problems = problems
    this.#observer = new ValueObserver(copies)
  }

  counts() {
    return { ...this.#copies.counts, ...this.#counts }
  }

  /** Whether a value of it could not be had for so long that an attempt fails by that. */
  wasLost(id: string): boolean {
    return this.#observer.lostMs(id) >= AWAY_MS
  }

  strike(): void {
    const { random } = this.#mesh.network
    const share = random()
    if (share >= DAMAGED_SHARE + LOST_SHARE) return
    const held = this.#nodes.holding().flatMap(({ peer }) => [...this.#copies.of(peer).keys()])
    const key = held[Math.floor(random() * held.length)]
    if (key === undefined) return
    const isAll = share < LOST_SHARE
    if (isAll) this.#copies.counts.lostValues += 1
    this.#nodes.damage(key, isAll)
  }

  /** @param known tasks, accepted or not */
  async look(known: Iterable<KnownTask>): Promise<void> {
    const ids = [...known].flatMap(({ id, plan }) => (plan.large === undefined ? [] : [id]))
    const seats = this.#nodes.all().flatMap(({ node }) => node.seat() ?? [])
    const [furthest] = seats.map(({ machine }) => machine).sort((a, b) => b.version() - a.version())
    if (furthest === undefined) return
    const { time } = this.#mesh
    this.#problems.push(
      ...(await time.settled(this.#observer.look(ids, furthest, this.#reachable(), time.now()), READ_MS)),
    )
  }

  /** Connected to anybody: holders that others can ask. */
  #reachable(): ReadonlySet<string> {
    const up = this.#mesh.up()
    const isReached = (id: string): boolean => up.some(({ network }) => network.isConnected(id))
    return new Set(up.flatMap(({ id }) => (isReached(id) ? [id] : [])))
  }

  /** @returns undefined: all copies of it are gone @throws where it can be had, and is not given */
  async withResult(state: TaskState): Promise<TaskState | undefined> {
    const { random } = this.#mesh.network
    const nodes = this.#nodes.all()
    const one = nodes[Math.floor(random() * nodes.length)]
    if (one === undefined) throw new Error('no node is there')
    try {
      const read = one.tasks.get(state.id).result({ timeoutMs: RESULT_MS })
      const result = await this.#mesh.time.settled(read, 2 * RESULT_MS)
      this.#counts.read += 1
      return { ...state, result }
    } catch (error) {
      if (!isParleyError(error, 'STA001') || !this.#observer.isLost(state.id)) throw error
      return undefined
    }
  }

  /** Everything has healed, and all have ended. */
  async conclude(all: Iterable<KnownTask>): Promise<void> {
    const { random } = this.#mesh.network
    const known = [...all]
    await this.look(known)
    await this.#checkAfter(CARED_MS, known)
    if (random() < FORGET_SHARE) {
      await this.#checkAfter(FORGOTTEN_MS, known)
      this.#problems.push(...this.#observer.needless(this.#nodes.holding()))
      this.#counts.forgotten += 1
    }
    const isMoved = this.#nodes.holding().length > COPIES && random() < AWAY_SHARE
    if (!isMoved || this.#problems.length > 0 || this.#observer.count() === 0) return
    this.#nodes.leaveForGood()
    await this.#checkAfter(REPLACED_MS, known)
    this.#counts.moved += this.#observer.count()
  }

  /** As many hold each value as may be. */
  async #checkAfter(ms: number, known: Iterable<KnownTask>): Promise<void> {
    await this.#mesh.time.run(ms)
    for (let looks = 0; ; looks += 1) {
      await this.look(known)
      const problems = this.#observer.wrongHolders(this.#nodes.holding())
      if (problems.length === 0) return
      if (looks === MENDED_LOOKS) {
        this.#problems.push(...problems)
        return
      }
      // A copy that was damaged long ago may have been found, and be gone, a moment ago.
      await this.#mesh.time.run(CARE.lookMs)
    }
  }
}
