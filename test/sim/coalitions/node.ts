/** A node of the simulated mesh with coalitions, as node/parts/plan-parts.ts starts them. Keeps no state. */
import type { CoalitionNews, CoalitionVerdict } from '../../../protocols/coordination/coalition/coalition-api.ts'
import { coalitionProtocol } from '../../../protocols/coordination/coalition/coalition-contract.ts'
import { type CoalitionsFeature, createCoalitions } from '../../../protocols/coordination/coalition/coalitions.ts'
import { coordinationProtocol } from '../../../protocols/coordination/contract.ts'
import { DirectiveSender } from '../../../protocols/coordination/runner/directive-sender.ts'
import { ParleyError } from '../../../protocols/errors.ts'
import type { Fences } from '../../../protocols/journal/fencing/fence-guard.ts'
import { COALITION_PARTS, idleAgentOf } from '../../support/coalition-mesh.ts'
import type { JournalMesh, JournalNode } from '../../support/journal-mesh.ts'
import { detectPresence } from '../tasks/bytes/presence.ts'
import { MemberLife, type MemberWatch } from './members.ts'

export interface CoalitionNode {
  readonly node: JournalNode
  readonly coalitions: CoalitionsFeature
  readonly life: MemberLife
}

export interface CoalitionNodeOptions {
  readonly expect?: number
  readonly mayVote: boolean
  readonly fences: Fences
  readonly watch: MemberWatch
  /** Its program takes part so many milliseconds after its start. */
  readonly listensAfterMs: number
  /** What its program says. */
  judge(news: CoalitionNews, node: JournalNode): Promise<CoalitionVerdict>
  /** Whether there is such a node, or was. */
  isKnown(peer: string): boolean
  /** Whether it holds the capability `coordinate`. */
  mayDissolve(peer: string): boolean
  problem(what: string): void
}

export const startCoalitions = async (
  mesh: JournalMesh,
  name: string,
  options: CoalitionNodeOptions,
): Promise<CoalitionNode> => {
  const { expect, mayVote, fences, watch, isKnown, problem } = options
  const node = await mesh.start(name, {
    ...{ parts: COALITION_PARTS, mayVote },
    ...(expect !== undefined && { expect }),
  })
  const { port, journal, coordinator, id: peer } = node
  const life = new MemberLife(peer)
  const agent = idleAgentOf(node, fences)
  const sender = new DirectiveSender({ port })
  const { presenceOf, onPresence } = detectPresence(port)
  const coalitions = createCoalitions({
    ...{ port, journal, coordinator, fences, isKnown, onPresence },
    // The failure detector has nothing against whom nobody knows.
    presenceOf: (one) => (isKnown(one) ? presenceOf(one) : 'there'),
    member: node.seat,
    directives: {
      direct(directive, signal) {
        if (!isKnown(directive.target_agent)) problem(`${directive.target_agent} is directed, and nobody knows it`)
        return sender.send(directive, signal)
      },
      onCoalition: (take) =>
        agent.onCoalition(async (coalition, fence) => {
          try {
            const verdict = await take(coalition, fence)
            watch.directed(life, coalition, fence, verdict, coalitions.isIn(coalition.coalition_id))
            return verdict
          } catch (error) {
            watch.counts.older += 1
            throw error
          }
        }),
    },
  })
  await port.serve(coalitionProtocol, {
    dissolve(asked, context) {
      if (options.mayDissolve(context.peer)) return coalitions.handlers.dissolve(asked, context)
      throw new ParleyError('SEC002', `${context.peer} does not hold coordinate`, { hint: 'ask who does' })
    },
  })
  await port.serve(coordinationProtocol, agent.handlers)
  const listen = (): void =>
    void coalitions.onCoalition(async (news) => {
      const stance = watch.told(life, news)
      const verdict = await options.judge(news, node)
      stance.agrees = verdict === undefined && news.type !== 'dissolved'
      return verdict
    })
  if (options.listensAfterMs === 0) listen()
  else port.timers.after(options.listensAfterMs, listen)
  return { node, coalitions, life }
}
