/** Coordination as a program, and the rest of a node, see it. */
import type { CoordinatorStatus } from '../../protocols/coordinator/coordinator-status.ts'
import type { ActingFacts } from '../../protocols/coordinator/leadership.ts'
import type { Journal } from '../../protocols/journal/client/journal-client.ts'
import type { Fences } from '../../protocols/journal/fencing/fence-guard.ts'
import type { JournalMember } from '../../protocols/journal/journal-server.ts'
import type { Epoch } from '../../protocols/journal/state/built-in-kinds.ts'
import type { Registration } from '../../protocols/registration.ts'
import type { CoordinatorFacts } from '../observe/debug/sources/coordinator-view.ts'

export interface Coordinator {
  status(): CoordinatorStatus
  onChange(fn: (status: CoordinatorStatus) => void): Registration
  /**
   * Runs `fn` each time that this node begins to coordinate, until the signal that it is given is aborted. What it has
   * others do must carry the fence of a decision, so that they can refuse it once another node coordinates. A decision of
   * one who was replaced meanwhile is taken like anybody's, and gets a new fence: a command that only the coordinator of an
   * epoch may give names that epoch in its input, and its `apply` compares it with `facts.fence.term`.
   */
  act(fn: (facts: ActingFacts) => void | Promise<void>): Registration
  /** Hands over, to the agent that is named (peer id or name) or to the most suitable. @throws STA003, COM002, SEC002 */
  transfer(to?: string, options?: { signal?: AbortSignal }): Promise<{ epoch: number; leader: string }>
  /** Who coordinated when, oldest first; the last 256 epochs. */
  history(options?: { signal?: AbortSignal }): Promise<Epoch[]>
  /** Resolves with who coordinates, once somebody does. @throws COM001 `no-leader` after `timeoutMs`; COM002 at stop */
  found(options?: { signal?: AbortSignal; timeoutMs?: number }): Promise<{ epoch: number; leader: string }>
  /**
   * Gives this node's seat up for good, also after a restart; the node stays in the mesh. Resolves once it has none.
   * @throws STA003 with `details.reason` `alone` for the only voter, `taken-back`; the signal's reason; it keeps its seat then
   */
  giveUpSeat(options?: { signal?: AbortSignal }): Promise<void>
  /** Offers the seat again that was given up: it learns first. @throws STA003 where the disk cannot keep it */
  takeSeat(): Promise<void>
}

export interface Coordination {
  readonly journal: Journal
  readonly coordinator: Coordinator
  readonly fences: Fences
  meshId(): string | undefined
  /** This node's copy of the journal, while it has one. */
  journalMember(): JournalMember | undefined
  /** Whether it may leave its founded mesh for another one. */
  mayMove(): boolean
  /** A member of the mesh belongs to the founded mesh of this id. */
  heard(meshId: string): void
  facts(): CoordinatorFacts
  /** Why this node is not ready. */
  problems(): string[]
  /** What does not work although it is. */
  degraded(): string[]
  counts(): Record<string, number>
  handOver(): Promise<void>
  stop(): Promise<void>
}
