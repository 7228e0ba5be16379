/**
 * Nodes of the simulated mesh with coalitions; time is virtual, journal, calls, directives and the agents that take them are the
 * real ones. State: the nodes, and what each program was told.
 */
import { ManagedAgent } from '../../protocols/coordination/agent/managed-agent.ts'
import type { CoalitionNews, CoalitionVerdict } from '../../protocols/coordination/coalition/coalition-api.ts'
import { coalitionProtocol } from '../../protocols/coordination/coalition/coalition-contract.ts'
import { COALITIONS_PART } from '../../protocols/coordination/coalition/coalition-record.ts'
import { type CoalitionsFeature, createCoalitions } from '../../protocols/coordination/coalition/coalitions.ts'
import { coordinationProtocol } from '../../protocols/coordination/contract.ts'
import { coalitionJournal } from '../../protocols/coordination/journal/coalition-kinds.ts'
import type { Directive } from '../../protocols/coordination/messages.ts'
import type { TakeCoalition } from '../../protocols/coordination/plan-needs.ts'
import { DirectiveSender } from '../../protocols/coordination/runner/directive-sender.ts'
import { ParleyError } from '../../protocols/errors.ts'
import { createFenceGuard, type Fences } from '../../protocols/journal/fencing/fence-guard.ts'
import type { JournalPart } from '../../protocols/journal/part-kinds.ts'
import { createJournalMesh, type JournalNode } from './journal-mesh.ts'

export const COALITION_PARTS: readonly JournalPart[] = [{ ...coalitionJournal, name: COALITIONS_PART }]

type Presence = 'there' | 'gone'

export interface CoalitionNode {
  readonly name: string
  readonly id: string
  readonly node: JournalNode
  readonly coalitions: CoalitionsFeature
  readonly fences: Fences
  /** What its program was told, in order. */
  readonly news: CoalitionNews[]
  /** Directives that it was given, in order. */
  readonly directed: Directive[]
  /** As if the coordinator had directed it. */
  readonly take: TakeCoalition
  /** What its program says; it agrees unless told. */
  agree(news: CoalitionNews): CoalitionVerdict | Promise<CoalitionVerdict>
}

/** An agent that does no tasks. @param isDraining whether it is about to stop */
export const idleAgentOf = (
  { port, coordinator }: JournalNode,
  fences: Fences,
  isDraining = (): boolean => false,
): ManagedAgent =>
  new ManagedAgent({
    ...{ port, coordinator, fences },
    work: () => ({ offers: [], tasks: [], isDraining: isDraining() }),
    resources: { utilization: () => ({}), status: async () => [], adjust: async () => {} },
    completed() {},
    progressed() {},
  })

export const createCoalitionMesh = (seed: number) => {
  const mesh = createJournalMesh({ seed, autopilot: { stableMs: 1_000, replaceAfterMs: 600_000 } })
  const nodes = new Map<string, CoalitionNode>()
  const hearing = new Set<(peer: string, presence: Presence) => void>()
  /** Ids of nodes that answer no directive, that are about to stop, and that hold the capability `coordinate`. */
  const mute = new Set<string>()
  const draining = new Set<string>()
  const holders = new Set<string>()

  /** Ids of those that coordinators directed, in order. */
  const sent: string[] = []

  const isKnown = (peer: string): boolean => [...nodes.values()].some(({ id }) => id === peer)
  /** A node that was killed is gone at once, as if the failure detector had found it; it has nothing against whom it does not know. */
  const presenceOf = (peer: string): Presence => {
    const found = [...nodes.values()].find(({ id }) => id === peer)
    return found === undefined || found.node.isUp() ? 'there' : 'gone'
  }
  const tell = (peer: string): void => {
    for (const fn of hearing) fn(peer, presenceOf(peer))
  }

  const serve = async ({ node, coalitions, directed, id }: CoalitionNode, agent: ManagedAgent): Promise<void> => {
    await node.port.serve(coalitionProtocol, {
      dissolve(asked, context) {
        if (holders.has(context.peer)) return coalitions.handlers.dissolve(asked, context)
        throw new ParleyError('SEC002', `${context.peer} does not hold coordinate`, { hint: 'ask who does' })
      },
    })
    await node.port.serve(coordinationProtocol, {
      ...agent.handlers,
      async coordination_directive(directive, context) {
        const { signal } = context
        if (mute.has(id)) await new Promise((resolve) => signal.addEventListener('abort', resolve))
        directed.push(directive)
        return agent.handlers.coordination_directive(directive, context)
      },
    })
  }

  /** @param listens whether its program takes part */
  const start = async (
    name: string,
    { expect, fences: given, listens = true }: { expect?: number; fences?: Fences; listens?: boolean } = {},
  ): Promise<CoalitionNode> => {
    const node = await mesh.start(name, { parts: COALITION_PARTS, ...(expect !== undefined && { expect }) })
    const { port, journal, coordinator } = node
    const fences = given ?? (await createFenceGuard())
    const agent = idleAgentOf(node, fences, () => draining.has(node.id))
    const sender = new DirectiveSender({ port })
    let take: TakeCoalition = async () => undefined
    const coalitions = createCoalitions({
      ...{ port, journal, coordinator, fences, presenceOf, isKnown },
      member: node.seat,
      onPresence(fn) {
        hearing.add(fn)
        return () => void hearing.delete(fn)
      },
      directives: {
        direct(directive, signal) {
          sent.push(directive.target_agent)
          return sender.send(directive, signal)
        },
        onCoalition(fn) {
          take = fn
          return agent.onCoalition(fn)
        },
      },
    })
    const one: CoalitionNode = {
      ...{ name, id: node.id, node, coalitions, fences, take, news: [], directed: [], agree: () => undefined },
    }
    if (listens)
      coalitions.onCoalition((news) => {
        one.news.push(news)
        return one.agree(news)
      })
    await serve(one, agent)
    nodes.set(name, one)
    tell(one.id)
    return one
  }

  return {
    mesh,
    time: mesh.time,
    start,
    mute,
    draining,
    holders,
    sent,
    /** Nodes m0, m1, … with a coordinator. */
    async found(count: number): Promise<CoalitionNode[]> {
      const all: CoalitionNode[] = []
      for (let i = 0; i < count; i += 1) all.push(await start(`m${i}`, { expect: count }))
      await mesh.untilLeader(10_000)
      return all
    },
    leading(): CoalitionNode {
      const found = [...nodes.values()].find(({ node }) => node === mesh.leader())
      if (found === undefined) throw new Error('nobody coordinates')
      return found
    },
    kill(one: CoalitionNode): void {
      mesh.kill(one.node)
      tell(one.id)
    },
    end(): void {
      for (const { node } of nodes.values()) mesh.kill(node)
    },
  }
}
