/**
 * The mesh as a program sees it.
 */
import type { Activity } from '../discovery/agent-activity.ts'
import type { Announcement } from '../discovery/directory/record/own-record.ts'
import type { Agent, Change } from '../discovery/directory/tables/agent-change.ts'
import type { Candidate } from '../discovery/directory/tables/offer-index.ts'
import type { Budgets } from '../protocols/budget/api.ts'
import type { Commands } from '../protocols/command/api.ts'
import type { Plans } from '../protocols/coordination/api.ts'
import type { Coalitions } from '../protocols/coordination/coalition/coalition-api.ts'
import type { AnyProtocol, Handlers } from '../protocols/define.ts'
import type { Messages } from '../protocols/delivery/api.ts'
import type { Events } from '../protocols/events/api.ts'
import type { Journal } from '../protocols/journal/client/journal-client.ts'
import type { Fences } from '../protocols/journal/fencing/fence-guard.ts'
import type { Notifications } from '../protocols/notification/notifications.ts'
import type { Token } from '../protocols/part.ts'
import type { Member, Port } from '../protocols/port.ts'
import type { Registration } from '../protocols/registration.ts'
import type { Resources } from '../protocols/resource/api.ts'
import type { Tasks } from '../protocols/task/api.ts'
import type { Clients } from './calls/clients.ts'
import type { Replies } from './calls/reply-to.ts'
import type { Coordinator } from './coordination/api.ts'
import type { JoinedOptions } from './lifecycle/wait-until-joined.ts'
import type { Readiness } from './observe/debug/debug-schemas.ts'
import type { MeshFigures } from './observe/metrics/mesh-figures.ts'
import type { Reloaded } from './options/reload.ts'
import type { MeshOptionsInput } from './options/schema.ts'

export interface SelfFacts {
  readonly id: string
  readonly name: string
  readonly mesh: string
  readonly incarnation: number
  /** Multiaddresses with the peer id, as other nodes take them in `join`. */
  readonly addresses: string[]
}

/** Who is in the mesh and what they offer, as this node knows it. */
export interface MeshDirectory {
  /** Everyone, this node included. */
  agents(): Agent[]
  /** By peer id or name. @throws STA003 when several agents share the name */
  find(nameOrId: string): Agent | undefined
  /** By peer id. */
  get(peer: string): Agent | undefined
  /** Other agents that offer this major version, suspects among them. */
  offers(protocol: string, major: number): readonly Candidate[]
  /** Told of each agent that comes, changes or goes, until the registration is stopped. */
  onChange(fn: (change: Change) => void): Registration
  /**
   * Changes what this node tells of itself. Resolves when it is written, not when it arrived.
   * @throws MSG001 for an announcement that does not fit in a record, STA003 when this node stops
   */
  announce(update: Announcement): Promise<void>
}

/** Whether this node's agent gets on with its work. */
export interface MeshActivity {
  /** As everyone is told; `sinceMs` is in milliseconds. */
  current(): Activity
}

export interface Mesh {
  readonly self: SelfFacts
  /** Address of the debug endpoint, when it is on. */
  readonly debugUrl: string | undefined
  /** Address of the health listener, when it is on. */
  readonly healthUrl: string | undefined
  /** Publish and subscribe. */
  readonly events: Events
  /** Durable messages: kept on disk until they were processed. */
  readonly messages: Messages
  /** Who is here and what they offer. */
  readonly directory: MeshDirectory
  /** What the mesh has agreed on: records that survive the loss of any node, as long as a majority of the voters is left. */
  readonly journal: Journal
  /** Whether this node's agent gets on with its work, as everyone is told; threads of agents are counted in. */
  readonly activity: MeshActivity
  /** Who coordinates the mesh. */
  readonly coordinator: Coordinator
  /** What the coordinator tells everybody. */
  readonly notifications: Notifications
  /** Work that is done once, although its requester, its worker and the coordinator may each die. */
  readonly tasks: Tasks
  /** What nodes have to give, and who has been given what of it: never more than there is, whoever is lost. */
  readonly resources: Resources
  /** What work may use up, as a tree of loans: nobody spends more of it than there is, whoever is lost. */
  readonly budgets: Budgets
  /** Goals whose tasks go to agents that the elected coordinator chooses and directs. */
  readonly plans: Plans
  /** Agents that pursue one goal together for a while, and who leads them. */
  readonly coalitions: Coalitions
  /** Telling other agents to do something, by type, with an acknowledgement. */
  readonly commands: Commands
  /** Which effects are let through, as newer decisions make older ones void. */
  readonly fences: Fences
  /** Answers that were sent here by `replyTo`. */
  readonly replies: Replies
  /**
   * A part that was given to createMesh, once it runs: one that is not used yet is started by this.
   * @throws MSG001 for one that this node has not; STA003 with `details.reason` `part-failed`; COM002 when this node stops
   */
  part<Api>(part: Token<Api>): Promise<Api>
  /** For features built on the Port alone. */
  readonly port: Port
  /**
   * Offers a protocol to the mesh, until the registration is stopped; requests in work are given no time then, so drain
   * first where that matters.
   * @throws MSG001 for handlers that do not fit the contract, STA003 when it is served already
   */
  serve<P extends AnyProtocol>(protocol: P, handlers: Handlers<P>): Promise<Registration>
  /** Calls one agent, by peer id or by a name that it alone has; given a list, each of it, answers as they come. */
  readonly to: Clients['to']
  /** Calls the best of those who offer it, with failover. COM004 at once when nobody does. */
  readonly any: Clients['any']
  /** Calls all who offer it; answers as they come, until `count`, the deadline, or nothing for `stallMs`. */
  readonly all: Clients['all']
  /**
   * Resolves once a member is connected and the directory was compared with it; at once for a node that joins nobody.
   * Without `timeoutMs` (milliseconds) it waits as long as it takes, and the log says each minute for whom. The node goes on
   * trying, whatever this throws.
   * @throws SEC001 when every join address refused this node; COM001 after `timeoutMs`; COM002 when this node stops; the
   *   signal's reason
   */
  joined(options?: JoinedOptions): Promise<void>
  /**
   * Changes options while the node runs: `changes` is a part of what createMesh takes, and undefined means the default.
   * What cannot change without a restart is named, and nothing of it is applied; an option that is not named stays.
   * @returns paths such as `limits.maxActive`
   * @throws MSG001, SEC001 for changes that createMesh would refuse too; nothing has changed then
   */
  reload(changes: MeshOptionsInput): Promise<Reloaded>
  members(): Member[]
  onMember(fn: (member: Member, change: 'joined' | 'left') => void): Registration
  figures(): MeshFigures
  /** Whether this node can do its work, and if not, why: what the debug endpoint says at `/readyz`. */
  readiness(): Readiness
  /**
   * Has the debug endpoint say that this node is not ready, with this reason, until the registration is stopped: for
   * what stands on the node and has to start first, such as a model that is loaded.
   */
  notReady(reason: string): Registration
  /**
   * Told when the user of this node asks it to stop by its control socket (`parley stop`). A node to which nobody listens
   * stops itself.
   */
  onStopRequest(fn: () => void): Registration
  /**
   * The first half of stop(): says goodbye, refuses new requests and lets those in work end, at most timings.drainMs
   * milliseconds. Calls and events of this node still go out, so that what stands on it can finish. The debug endpoint
   * tells from here on that it is not ready. Calling it again waits for the same end.
   */
  drain(): Promise<void>
  /**
   * Leaves in order: says goodbye, refuses new work, lets running work end (timings.drainMs), closes everything.
   * Calling it again waits for the same end.
   */
  stop(): Promise<void>
  /** The same as `stop`: `await using mesh = await createMesh()`. */
  [Symbol.asyncDispose](): Promise<void>
}
