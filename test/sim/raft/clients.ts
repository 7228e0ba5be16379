/**
 * Clients of the simulated group: each has a session, one command at a time, and tries again elsewhere until it is
 * acknowledged. Reads ask any member from which index on they may be answered.
 *
 * State: for each session the command that is not acknowledged yet, and when to try again; reads that wait.
 */
import type { Entry } from '../../../protocols/consensus/messages.ts'
import type { Invariants } from './invariants.ts'
import { type Command, decodeCommand, encodeCommand } from './machine.ts'
import type { Member } from './member.ts'

const SESSIONS = ['x', 'y', 'z']
const RETRY_MS = [200, 900] as const
const PAUSE_MS = [0, 120] as const

interface Session {
  serial: number
  nextAtMs: number
  /** Where the command was taken: that member acknowledges it when it has applied it. */
  readonly askedOf: Set<string>
}

export interface Clients {
  /** Lets clients try; called now and then. */
  act(nowMs: number, members: readonly Member[]): void
  applied(id: string, entry: Entry, nowMs: number): void
  answered(id: string, readId: number, index: number): void
  counts: { proposed: number; acknowledged: number; retried: number; reads: number; readsAnswered: number }
}

export const createClients = (
  random: () => number,
  invariants: Invariants,
  step: (member: Member, input: Parameters<Member['step']>[2]) => ReturnType<Member['step']>,
): Clients => {
  const sessions = new Map<string, Session>(
    SESSIONS.map((name) => [name, { serial: 1, nextAtMs: 0, askedOf: new Set() }]),
  )
  const reads = new Map<number, number>()
  let lastRead = 0
  const counts = { proposed: 0, acknowledged: 0, retried: 0, reads: 0, readsAnswered: 0 }
  const between = ([least, most]: readonly [number, number]): number => least + random() * (most - least)

  const propose = (session: Session, command: Command, member: Member): void => {
    // It may be applied within the step.
    session.askedOf.add(member.id)
    const isTaken = step(member, { type: 'propose', commands: [encodeCommand(command)] })?.proposed !== undefined
    if (!isTaken) session.askedOf.delete(member.id)
    else counts.proposed += 1
  }

  return {
    counts,
    act(nowMs, members) {
      const up = members.filter(({ isUp, frozenUntil }) => isUp && frozenUntil <= nowMs)
      if (up.length === 0) return
      for (const [name, session] of sessions) {
        if (nowMs < session.nextAtMs) continue
        session.nextAtMs = nowMs + between(RETRY_MS)
        if (session.askedOf.size > 0) counts.retried += 1
        const leader = up.find(({ raft }) => raft?.status().role === 'leader')
        const member = leader !== undefined && random() < 0.8 ? leader : up[Math.floor(random() * up.length)]
        if (member !== undefined) propose(session, { session: name, serial: session.serial }, member)
      }
      if (random() < 0.2) {
        const member = up[Math.floor(random() * up.length)]
        lastRead += 1
        counts.reads += 1
        reads.set(lastRead, invariants.highestAcknowledged())
        if (member !== undefined) step(member, { type: 'read', id: lastRead })
      }
    },
    applied(id, entry, nowMs) {
      const command = decodeCommand(entry.data)
      const session = sessions.get(command.session)
      if (session === undefined || session.serial !== command.serial || !session.askedOf.has(id)) return
      invariants.acknowledged(command, entry.index)
      counts.acknowledged += 1
      session.serial += 1
      session.askedOf.clear()
      session.nextAtMs = nowMs + between(PAUSE_MS)
    },
    answered(_id, readId, index) {
      const since = reads.get(readId)
      reads.delete(readId)
      if (since === undefined || index === 0) return
      counts.readsAnswered += 1
      invariants.mayRead(since, index)
    },
  }
}
