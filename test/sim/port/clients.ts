/**
 * Clients of the simulated nodes: each has a session, one command at a time, and asks again elsewhere, with the same
 * serial, until it is acknowledged. Reads may be asked of any node.
 *
 * State: for each session the command that is not acknowledged yet, whom it believes to lead, and when it asks again.
 */
import { isParleyError } from '../../../protocols/errors.ts'
import type { Invariants } from './invariants.ts'
import { encodeCommand } from './machine.ts'
import type { Nodes, SimNode } from './node.ts'

const SESSIONS = ['x', 'y', 'z', 'w']
/** Without an answer it asks elsewhere. */
const PATIENCE_MS = [300, 1_500] as const
const PAUSE_MS = [0, 150] as const
const READ_SHARE = 0.15
/** Some commands are large. */
const LARGE = { share: 0.25, bytes: [300, 3_000] } as const

interface Session {
  readonly name: string
  serial: number
  nextAtMs: number
  /** Asked, and not answered yet. */
  isOpen: boolean
  leader: SimNode | undefined
}

export interface Clients {
  /** Lets clients ask; called now and then. */
  act(): void
  readonly counts: { acknowledged: number; retried: number; reads: number; contestedReads: number }
}

export const createClients = (
  nodes: Nodes,
  invariants: Invariants,
  nowMs: () => number,
  random: () => number,
): Clients => {
  const sessions = SESSIONS.map((name): Session => ({ name, serial: 1, nextAtMs: 0, isOpen: false, leader: undefined }))
  const counts = { acknowledged: 0, retried: 0, reads: 0, contestedReads: 0 }
  const between = ([least, most]: readonly [number, number]): number => least + random() * (most - least)
  const pick = <T>(list: readonly T[]): T | undefined => list[Math.floor(random() * list.length)]
  const isAwake = ({ life }: SimNode): boolean => (life?.process.frozenUntil ?? 0) <= nowMs()

  const acknowledge = (session: Session, serial: number, node: SimNode, index: number): void => {
    invariants.acknowledged({ session: session.name, serial }, index)
    // The answer to an earlier try may come late, and counts as well.
    if (session.serial !== serial) return
    counts.acknowledged += 1
    session.serial += 1
    session.isOpen = false
    session.leader = node
    session.nextAtMs = nowMs() + between(PAUSE_MS)
  }

  const propose = (session: Session, node: SimNode): void => {
    const { life } = node
    const { name, serial } = session
    session.isOpen = true
    // Until it answers.
    session.leader = undefined
    session.nextAtMs = nowMs() + between(PATIENCE_MS)
    life?.group
      ?.propose(encodeCommand({ session: name, serial }, random() < LARGE.share ? between(LARGE.bytes) : 0))
      .then(
        (value) => {
          if (life.isOver) return
          // What a machine of this simulator says of a command: the last one of its session, and where that had its effect.
          const last = value as { serial: number; index: number } | undefined
          if (last === undefined) invariants.failed(`${node.name} answered ${name} ${serial} with nothing`)
          else if (last.serial === serial) acknowledge(session, serial, node, last.index)
        },
        (error: unknown) => {
          if (life.isOver || session.serial !== serial) return
          const leader = isParleyError(error) ? error.details.leader : undefined
          session.leader = nodes.all.find((other) => nodes.idOf(other) === leader)
          session.nextAtMs = Math.min(session.nextAtMs, nowMs() + between([20, 200]))
        },
      )
  }

  const read = (node: SimNode, isContested: boolean): void => {
    const { life } = node
    const since = invariants.acknowledgedNow()
    life?.group?.readable().then(
      () => {
        if (life.isOver) return
        counts.reads += 1
        if (isContested) counts.contestedReads += 1
        invariants.read(node.name, since, life.machine)
      },
      // A node that stops answers no reads.
      () => {},
    )
  }

  return {
    counts,
    act() {
      const up = nodes.up().filter(isAwake)
      for (const session of sessions) {
        if (nowMs() < session.nextAtMs) continue
        if (session.isOpen) counts.retried += 1
        const believed = session.leader !== undefined && up.includes(session.leader) ? session.leader : undefined
        const node = believed !== undefined && random() < 0.9 ? believed : pick(up)
        if (node !== undefined) propose(session, node)
      }
      // A leader that was replaced and does not know it must not answer: where two believe that they lead, both are asked.
      const leading = up.filter(({ life }) => life?.group?.status().role === 'leader')
      const reader = random() < READ_SHARE ? pick(up) : undefined
      const isContested = leading.length > 1
      for (const node of isContested ? leading : [reader]) if (node !== undefined) read(node, isContested)
    },
  }
}
