/** Resources as a program uses them: `mesh.resources`. */
import type { Fence } from '../journal/fencing/fence.ts'
import type { Registration } from '../registration.ts'
import type { Priority } from '../wire/envelope.ts'
import type { ResourceAnswer } from './client/resource-messages.ts'
import type { AllocationStatus } from './resource-record.ts'
import type { Units } from './units.ts'

export interface ResourceWaitOptions {
  readonly signal?: AbortSignal
  /** Milliseconds. */
  readonly timeoutMs?: number
}

/** One node's part of an allocation. */
export interface WantedPart {
  /** Whole units by name: `cpu` in thousandths of a core, `memory` and `storage` in bytes, `gpu` in devices, or others. */
  readonly units: Units
  /** Peer id of the node that has to give it; any node unless told. */
  readonly owner?: string
}

export interface AllocateOptions extends ResourceWaitOptions {
  /** 1 to 128 letters, digits, _ and -; a new one unless told. The same id again is the same allocation. */
  readonly id?: string
  /** For which task. */
  readonly task?: string
  /** One part; or `parts`, which are had together or not at all. */
  readonly units?: Units
  /** So many parts of these `units`; 1 unless told, 64 at most. */
  readonly count?: number
  readonly parts?: readonly WantedPart[]
  /** Each part at a node of its own. */
  readonly spread?: boolean
  /** Who waits is granted in this order; `normal` unless told. */
  readonly priority?: Priority
  /** It may be ended, whole, for one of a higher priority that preempts. */
  readonly preemptible?: boolean
  /** Where it does not fit otherwise, others of a lower priority that are preemptible are ended for it. */
  readonly preempts?: boolean
}

export interface GivenPart {
  /** `<name>@<peer>` for each name. */
  readonly resourceIds: readonly string[]
  readonly owner: string
  readonly units: Units
}

/** What this node has been given. */
export interface HeldAllocation {
  readonly id: string
  readonly task: string | undefined
  readonly parts: readonly GivenPart[]
  /** Of the decision that granted it: owners refuse an older one. */
  readonly fence: Fence
  /** Aborted when it ends: released, preempted, its owner is gone, or this node was not heard of for the length of a lease. */
  readonly signal: AbortSignal
  /** Gives all of it back. Resolves once that is decided. Does nothing where another allocation has its id by then. */
  release(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** What somebody has been given of this node's. */
export interface Claim {
  readonly id: string
  readonly task: string | undefined
  /** Peer id. */
  readonly holder: string
  /** Of this node, all parts together. */
  readonly units: Units
  readonly fence: Fence
  /** Aborted when it ends: work on it has to end then. */
  readonly signal: AbortSignal
}

export interface ClaimOptions extends ResourceWaitOptions {
  /** What the holder says that it has: an older one is refused. */
  readonly fence?: Fence
}

export interface AllocationState {
  readonly id: string
  readonly status: AllocationStatus
  readonly holder: string
  readonly task: string | undefined
  readonly priority: Priority
  /** What is wanted, with who gives it once it is granted. */
  readonly parts: readonly { readonly units: Units; readonly owner: string | undefined }[]
  /** Milliseconds since 1970 by the journal's clock. */
  readonly askedAt: number
  readonly changedAt: number
  /** Why it ended. */
  readonly reason: string | undefined
}

/** One resource of one node, with the fields of seed 001. */
export interface ResourceStatus {
  /** `<name>@<peer>`. */
  readonly resource_id: string
  readonly name: string
  /** Peer id. */
  readonly owner: string
  readonly status: 'available' | 'full' | 'draining' | 'lost'
  readonly capacity: number
  readonly used: number
  /** ISO 8601: when its node was heard of last. */
  readonly timestamp: string
}

export interface ResourcesCounts {
  /** Allocations that this node has. */
  readonly held: number
  /** Allocations that others have of this node. */
  readonly given: number
  readonly asked: number
  readonly denied: number
  /** Allocations of this node that ended otherwise than by being released. */
  readonly lost: number
}

export interface Resources {
  /**
   * Says what this node has to give; said again, it is changed. Resolves once it is decided, and no work here has more. Stopped, the node gives nothing
   * more; what it gave stays with who has it.
   * @throws MSG001; STA003 `in-use` for less than what is allocated; COM001 where nobody coordinates: it is tried again
   */
  offer(capacity: Units): Promise<Registration>
  /**
   * Waits until all of it is granted, for `timeoutMs` (30,000 unless told; 0: what is not free now is denied).
   * @throws COM003 `resource-denied` with `details.why` (`all-in-use`, `no-such-capacity`), `resource-share`; STA003 `exists`;
   *   MSG001; COM001 where nobody coordinates
   */
  allocate(what: AllocateOptions): Promise<HeldAllocation>
  /**
   * At the node that gives: what somebody says that it was given here.
   * @throws STA001 where nothing is given under this id within `timeoutMs` (5,000 unless told); STA002 for an older fence
   */
  claim(id: string, options?: ClaimOptions): Promise<Claim>
  /** Told of each allocation that is given of this node's, those that are there first. */
  onClaim(fn: (claim: Claim) => void): Registration
  /** Ends an allocation of this node, by its id. What has ended is released too. @throws SEC002 */
  release(id: string): Promise<void>
  /** @throws STA001 */
  get(id: string, options?: ResourceWaitOptions): Promise<AllocationState>
  /** Those that there are, sorted by id. */
  list(options?: ResourceWaitOptions): Promise<AllocationState[]>
  /** What all nodes have, sorted by id. */
  status(options?: ResourceWaitOptions): Promise<ResourceStatus[]>
  /**
   * Does what a message of seed 001 says (`resource.allocate`, `resource.release`), for programs that have such messages.
   * @returns `resource.allocated`, `resource.denied` or `resource.released`
   * @throws MSG004, MSG001 for what is no such message; what `allocate` throws, but for what is denied
   */
  receive(type: string, payload: unknown): Promise<ResourceAnswer>
  counts(): ResourcesCounts
}
