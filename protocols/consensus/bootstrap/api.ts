/** Founding as a program sees it. */
import type { Port, Stop } from '../../port.ts'
import type { FoundingStore, MeshRecovery } from './founding-record.ts'
import type { FoundingStatus } from './founding-status.ts'
import type { Adoption } from './founding-steps.ts'

export interface FoundingDeps {
  readonly port: Pick<
    Port,
    'self' | 'serve' | 'to' | 'members' | 'onMember' | 'timers' | 'clock' | 'hash' | 'random' | 'log'
  >
  readonly store: FoundingStore
}

export interface FoundingOptions {
  /** This node's member id, see member-id.ts: of the log store that it has now. */
  readonly member: string
  /**
   * How many found the mesh together, 1 to 64; the same number at each of them. 1: this node alone, at once. More than
   * half of the nodes that start together, or two groups of them may found a mesh each. Not given: see `joins`.
   */
  readonly expect?: number | undefined
  /** It has somewhere to join. Without `expect` it then never founds; a node that does not join founds alone. */
  readonly joins: boolean
}

export interface FoundingCounts {
  /** Sets that this node proposed. */
  readonly proposed: number
  /** Promises that it let go, since the proposal was refused. */
  readonly released: number
  /** Calls to others without an answer. */
  readonly unanswered: number
  /** What found no room: steps that wait for the disk, peers remembered. */
  readonly dropped: number
  readonly unsaved: number
}

export interface Founding {
  /** Of the founded mesh that this node belongs to. */
  meshId(): string | undefined
  /** On a founder: the whole founding set, sorted. */
  founded(): { readonly meshId: string; readonly members: readonly string[] } | undefined
  /** On a node that recovered it: what the mesh id was made of. */
  recovered(): MeshRecovery | undefined
  status(): FoundingStatus
  /**
   * There is a founded mesh of this id. `adopted`: durable now. `same`: this node belongs to it. `deferred`: it holds a
   * promise, and adopts it if that comes to nothing. `conflict`: it belongs to another mesh.
   * @throws MSG001 for what is no mesh id; STA003 with `details.reason`: `unsaved`, `closed`; COM003
   */
  adopt(meshId: string): Promise<Adoption>
  /** Called once, when this node comes to belong to a mesh; not where it does so already. */
  onMeshId(fn: (meshId: string) => void): Stop
  counts(): FoundingCounts
  stop(): Promise<void>
}
