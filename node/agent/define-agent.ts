/**
 * What an agent module exports, and the mesh as its code sees it.
 *
 * An agent module runs in a worker thread of its node (start-agent.ts), so that computing for seconds does not make the node
 * look dead. It offers protocols, and may call, publish and subscribe like any program with a node of its own. What it
 * requests goes through its node by messages; contracts are checked and payloads are written in the worker.
 */
import type { Agent } from '../../discovery/directory/tables/agent-change.ts'
import type { AnyProtocol, Handlers } from '../../protocols/define.ts'
import type { Events } from '../../protocols/events/api.ts'
import type { Log, Member } from '../../protocols/port.ts'
import { compile, type Served } from '../../protocols/wire/payload/contract.ts'
import type { Clients } from '../calls/clients.ts'

/** The mesh as an agent in a worker thread sees it. */
export interface AgentPort extends Clients {
  /** The node that the agent runs in. */
  readonly self: { readonly id: string; readonly name: string; readonly mesh: string }
  readonly events: Pick<Events, 'publish' | 'subscribe'>
  /** Written to the node's log; lines that come faster than the node takes them are left out and counted. */
  readonly log: Log
  /** Peers that are connected to the node right now. */
  members(): Promise<Member[]>
  /** Everyone in the directory, this node included. */
  agents(): Promise<Agent[]>
}

/** A contract with its handlers. */
export interface Offer {
  readonly protocol: AnyProtocol
  readonly served: Served
}

export interface AgentDefinition {
  readonly offers: readonly Offer[]
  /** Called once the offers are served; the agent counts as ready when it returns. */
  start?(agent: AgentPort): Promise<void> | void
  /** Called before the thread ends, after the requests in work; it has two seconds. */
  stop?(): Promise<void> | void
}

/** For handlers that use the mesh; it may take its time, since nothing is served before it returns. */
export type AgentFactory = (agent: AgentPort) => AgentDefinition | Promise<AgentDefinition>

/**
 * One protocol that the agent serves.
 * @throws MSG001 when a method has no handler, or a handler no method
 */
export const offer = <P extends AnyProtocol>(protocol: P, handlers: Handlers<P>): Offer => ({
  protocol,
  served: compile(protocol, handlers),
})

/** The default export of an agent module: `export default defineAgent({ offers: [offer(protocol, handlers)] })`. */
export const defineAgent = <D extends AgentDefinition | AgentFactory>(definition: D): D => definition
