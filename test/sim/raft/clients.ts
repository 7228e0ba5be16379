/**
 * Clients of the simulated group. Each has a session and one command at a time, which writes a register or compares and
 * sets it; it tries again elsewhere until it is answered, or gives up and goes on without knowing what became of it. Reads
 * ask any member, which answers once it has applied what ReadIndex tells.
 *
 * What was asked and answered is a history, and must be linearizable (`test/support/linearizability.ts`).
 * State: for each session the command in hand, where it was taken and when to try again; reads that wait; the history.
 */

import { createRandom } from '../../../node/testing/virtual/virtual-time.ts'
import { checkLinearizable, type Operation } from '../../support/linearizability.ts'
import { type RegisterInput, type RegisterOutput, registerModel } from '../../support/linearizability-models.ts'
import { explainHistory } from '../../support/linearizability-text.ts'
import { type Invariants, Violation } from './invariants.ts'
import { type Action, type Command, encodeCommand, INITIAL, type Machine, readRegister } from './machine.ts'
import type { Member } from './member.ts'

const SESSIONS = ['x', 'y', 'z']
/** Few, so that clients get in each other's way. */
const REGISTERS = ['a', 'b', 'c']
const RETRY_MS = [200, 900] as const
const PAUSE_MS = [0, 120] as const
/** Of the commands that would be tried again. */
const GIVES_UP = 0.15
/** Of the commands; the others write. */
const COMPARES = 0.45
/** Of the times that clients look around. */
const READS = 0.2
const MAX_READS = 256
const MODEL = registerModel(INITIAL)

interface Session {
  readonly name: string
  serial: number
  nextAtMs: number
  /** The command in hand, since it was tried first. */
  asked: { readonly action: Action; readonly callAt: number } | undefined
  /** Where the command was taken: that member acknowledges it when it has applied it. */
  readonly askedOf: Set<string>
}

interface Read {
  readonly process: string
  readonly input: RegisterInput
  readonly callAt: number
  /** Highest index that was acknowledged by then. */
  readonly since: number
}

export interface Clients {
  /** Lets clients try; called now and then. */
  act(nowMs: number, members: readonly Member[]): void
  applied(id: string, command: Command, index: number, machine: Machine, nowMs: number): void
  /** From which index on a read may be answered. */
  answered(readId: number, index: number): void
  /** It is answered from this state. */
  read(readId: number, machine: Machine, nowMs: number): void
  /** @throws Violation where the history is not linearizable */
  judge(): void
  counts: {
    proposed: number
    acknowledged: number
    retried: number
    reads: number
    readsAnswered: number
    givenUp: number
    judged: number
  }
}

export const createClients = (
  random: () => number,
  invariants: Invariants,
  step: (member: Member, input: Parameters<Member['step']>[2]) => ReturnType<Member['step']>,
): Clients => {
  const sessions = new Map<string, Session>(
    SESSIONS.map((name) => [name, { name, serial: 1, nextAtMs: 0, asked: undefined, askedOf: new Set() }]),
  )
  const reads = new Map<number, Read>()
  const history: Operation<RegisterInput, RegisterOutput>[] = []
  /** What clients heard last of each register. */
  const heard = new Map<string, string>()
  let lastRead = 0
  const counts = { proposed: 0, acknowledged: 0, retried: 0, reads: 0, readsAnswered: 0, givenUp: 0, judged: 0 }
  const between = ([least, most]: readonly [number, number]): number => least + random() * (most - least)
  /** Of what is asked for; apart, so that it does not move the faults of a seed. */
  const whim = createRandom(1 + Math.floor(random() * 2 ** 31))
  const anyOf = <T>(list: readonly T[], otherwise: T): T => list[Math.floor(whim() * list.length)] ?? otherwise

  const nextAction = ({ name, serial }: Session): Action => {
    const key = anyOf(REGISTERS, 'a')
    const value = `${name}${serial}`
    if (whim() >= COMPARES) return { type: 'write', key, value }
    // What is there, as far as is known, or what may be there soon.
    const coming = [...sessions.values()].flatMap(({ asked }) => (asked?.action.key === key ? asked.action.value : []))
    const known = heard.get(key) ?? INITIAL
    return { type: 'cas', key, value, expected: anyOf([known, known, ...coming], known) }
  }

  const note = (
    process: string,
    input: RegisterInput,
    callAt: number,
    answer?: { readonly output: RegisterOutput; readonly returnAt: number },
  ): void => void history.push({ process, input, callAt, ...(answer ?? { output: undefined, returnAt: undefined }) })

  /** The next command, as of its next try. */
  const moveOn = (session: Session): void => {
    session.serial += 1
    session.asked = undefined
    session.askedOf.clear()
  }

  const giveUp = (session: Session): void => {
    if (session.asked !== undefined) note(session.name, session.asked.action, session.asked.callAt)
    counts.givenUp += 1
    moveOn(session)
  }

  const propose = (session: Session, action: Action, member: Member): void => {
    // It may be applied within the step.
    session.askedOf.add(member.id)
    const command = encodeCommand({ session: session.name, serial: session.serial, action })
    const isTaken = step(member, { type: 'propose', commands: [command] })?.proposed !== undefined
    if (!isTaken) session.askedOf.delete(member.id)
    else counts.proposed += 1
  }

  const tryNow = (session: Session, nowMs: number, up: readonly Member[]): void => {
    session.nextAtMs = nowMs + between(RETRY_MS)
    if (session.askedOf.size > 0 && whim() < GIVES_UP) giveUp(session)
    else if (session.askedOf.size > 0) counts.retried += 1
    session.asked ??= { action: nextAction(session), callAt: nowMs }
    const leader = up.find(({ raft }) => raft?.status().role === 'leader')
    const member = leader !== undefined && random() < 0.8 ? leader : up[Math.floor(random() * up.length)]
    if (member !== undefined) propose(session, session.asked.action, member)
  }

  /** Of those that believe that they lead, where there are several, the one that is behind. */
  const outdated = (up: readonly Member[]): Member | undefined => {
    let [oldest, term, count] = [undefined as Member | undefined, Number.POSITIVE_INFINITY, 0]
    for (const member of up) {
      const status = member.raft?.status()
      if (status?.role !== 'leader') continue
      count += 1
      if (status.term < term) [oldest, term] = [member, status.term]
    }
    return count > 1 ? oldest : undefined
  }

  const readNow = (nowMs: number, member: Member): void => {
    lastRead += 1
    counts.reads += 1
    const input = { type: 'read', key: anyOf(REGISTERS, 'a') } as const
    const since = invariants.highestAcknowledged()
    reads.set(lastRead, { process: `reader of ${member.id}`, input, callAt: nowMs, since })
    // Most of those that are not answered soon never are.
    reads.delete(lastRead - MAX_READS)
    step(member, { type: 'read', id: lastRead })
  }

  return {
    counts,
    act(nowMs, members) {
      const up = members.filter(({ isUp, frozenUntil }) => isUp && frozenUntil <= nowMs)
      if (up.length === 0) return
      for (const session of sessions.values()) if (nowMs >= session.nextAtMs) tryNow(session, nowMs, up)
      // Nobody else would answer from the past so easily.
      const member = outdated(up) ?? (random() < READS ? up[Math.floor(random() * up.length)] : undefined)
      if (member !== undefined) readNow(nowMs, member)
    },
    applied(id, command, index, machine, nowMs) {
      const session = sessions.get(command.session)
      if (session === undefined || session.serial !== command.serial || !session.askedOf.has(id)) return
      invariants.acknowledged(command, index)
      counts.acknowledged += 1
      const { action } = command
      const output = machine.answers.get(command.session) ?? null
      note(command.session, action, session.asked?.callAt ?? nowMs, { output, returnAt: nowMs })
      if (output !== false) heard.set(action.key, action.value)
      moveOn(session)
      session.nextAtMs = nowMs + between(PAUSE_MS)
    },
    answered(readId, index) {
      const read = reads.get(readId)
      if (read === undefined) return
      if (index === 0) reads.delete(readId)
      else {
        counts.readsAnswered += 1
        invariants.mayRead(read.since, index)
      }
    },
    read(readId, machine, nowMs) {
      const read = reads.get(readId)
      if (read === undefined) return
      reads.delete(readId)
      const output = readRegister(machine, read.input.key)
      heard.set(read.input.key, output)
      note(read.process, read.input, read.callAt, { output, returnAt: nowMs })
    },
    judge() {
      for (const { name, asked } of sessions.values()) if (asked !== undefined) note(name, asked.action, asked.callAt)
      counts.judged = history.length
      const found = checkLinearizable(MODEL, history)
      if (found.verdict === 'not') throw new Violation(explainHistory(MODEL, found))
      if (found.verdict === 'unknown') throw new Error(`a history of ${history.length} operations is too hard to judge`)
    },
  }
}
