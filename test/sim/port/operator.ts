/**
 * The operator of the simulated nodes: sees to it that those who are there vote, one step at a time: a node that came back
 * without its disk learns first, is promoted once it has the log, and then the member that it was is removed.
 *
 * State: until when it waits for a change that is under way.
 */
import type { RaftGroup } from '../../../protocols/consensus/group/group-api.ts'
import type { Configuration } from '../../../protocols/consensus/raft/raft-messages.ts'
import type { Nodes, SimNode } from './node.ts'

const PATIENCE_MS = 2_000

export interface Operator {
  /** Takes the next step, where there is one; called now and then. */
  act(): void
  /** Those who are there vote, nobody else, and that is committed. */
  isSettled(): boolean
  leader(): SimNode | undefined
  readonly counts: { changes: number }
}

/** @param guest a member that is to learn, and never to vote */
export const createOperator = (
  nodes: Nodes,
  nowMs: () => number,
  tell: (line: string) => void,
  guest: string | undefined,
): Operator => {
  const guests = guest === undefined ? [] : [guest]
  const counts = { changes: 0 }
  let busyUntilMs = 0

  const termOf = ({ life }: SimNode): number => life?.group?.status().term ?? 0
  const leader = (): SimNode | undefined =>
    nodes
      .up()
      .filter(({ life }) => life?.group?.status().role === 'leader' && life.process.frozenUntil <= nowMs())
      .sort((a, b) => termOf(b) - termOf(a))[0]

  const next = (group: RaftGroup): Configuration | undefined => {
    const { configuration, commit } = group.status()
    const { voters, learners } = configuration
    const wanted = nodes.all.map(nodes.idOf)
    const missing = [...wanted, ...guests].filter((id) => !voters.includes(id) && !learners.includes(id))
    if (missing.length > 0) return { voters, learners: [...learners, ...missing] }
    const ready = learners.find((id) => wanted.includes(id) && group.matchOf(id) >= commit)
    if (ready !== undefined) return { voters: [...voters, ready], learners: learners.filter((id) => id !== ready) }
    const gone = voters.find((id) => !wanted.includes(id))
    if (gone !== undefined && wanted.every((id) => voters.includes(id)))
      return { voters: voters.filter((id) => id !== gone), learners }
    const idle = learners.find((id) => !wanted.includes(id) && !guests.includes(id))
    return idle === undefined ? undefined : { voters, learners: learners.filter((id) => id !== idle) }
  }

  return {
    counts,
    leader,
    isSettled() {
      const status = leader()?.life?.group?.status()
      if (status === undefined || status.configurationIndex > status.commit) return false
      const { voters, learners } = status.configuration
      return (
        learners.every((id) => guests.includes(id)) &&
        [...voters].sort().join() === nodes.all.map(nodes.idOf).sort().join()
      )
    },
    act() {
      const node = leader()
      const group = node?.life?.group
      const configuration = group && next(group)
      if (nowMs() < busyUntilMs || node === undefined || group === undefined || configuration === undefined) return
      // A node that dies or is cut off does not answer.
      busyUntilMs = nowMs() + PATIENCE_MS
      const done = (): void => {
        busyUntilMs = 0
      }
      tell(`${node.name} is told to change the members: ${configuration.voters.length} vote`)
      group.change(configuration).then(() => {
        counts.changes += 1
        done()
      }, done)
    },
  }
}
