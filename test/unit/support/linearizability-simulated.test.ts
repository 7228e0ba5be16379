/** The history of the simulator's clients is looked at, and what is wrong in it is found. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRandom } from '../../../node/testing/virtual/virtual-time.ts'
import { type Entry, encodeConfiguration } from '../../../protocols/consensus/raft/raft-messages.ts'
import { type Clients, createClients } from '../../sim/raft/clients.ts'
import { createInvariants, Violation } from '../../sim/raft/invariants.ts'
import { type Answer, copyOf, emptyMachine, type Machine } from '../../sim/raft/machine.ts'
import { Member } from '../../sim/raft/member.ts'

const TICKS = 400
const TICK_MS = 20

interface Lies {
  /** The state that a read is answered from. */
  readFrom?(machine: Machine): Machine
  answer?(answer: Answer): Answer
}

/** A group of one member, which decides at once; nothing fails but what is told. */
const clientsOfOne = ({ readFrom = (machine) => machine, answer = (one) => one }: Lies): Clients => {
  const random = createRandom(3)
  const invariants = createInvariants()
  let nowMs = 0
  const clients = createClients(random, invariants, (member, input) =>
    input === undefined ? undefined : member.step(undefined, undefined, input),
  )
  const founders = encodeConfiguration({ voters: ['n0'], learners: [] })
  const founding: Entry[] = [{ index: 1, term: 1, kind: 'configuration', data: founders }]
  const events = {
    send: () => assert.fail('there is nobody else'),
    applied(id: string, ...[command, index, machine]: [Parameters<Clients['applied']>[1], number, Machine]) {
      const told = copyOf(machine)
      told.answers.set(command.session, answer(machine.answers.get(command.session) ?? null))
      clients.applied(id, command, index, told, nowMs)
    },
    answered: clients.answered,
    readable: (readId: number, machine: Machine) => clients.read(readId, readFrom(machine), nowMs),
  }
  const member = new Member('n0', founding, invariants, events, random, {})
  member.start()
  for (let tick = 0; tick < TICKS; tick += 1) {
    nowMs += TICK_MS
    member.step(undefined, undefined, { type: 'tick' })
    clients.act(nowMs, [member])
  }
  return clients
}

test('clients that are told what happened have nothing to complain of', () => {
  const clients = clientsOfOne({})
  clients.judge()
  const { acknowledged, readsAnswered, judged } = clients.counts
  assert.ok(acknowledged > 100 && readsAnswered > 50, JSON.stringify(clients.counts))
  assert.ok(judged >= acknowledged + readsAnswered)
})

test('reads from a state of the past are found', () => {
  let old: Machine | undefined
  let reads = 0
  const readFrom = (machine: Machine): Machine => {
    reads += 1
    if (reads === 10) old = copyOf(machine)
    return old ?? machine
  }
  assert.throws(() => clientsOfOne({ readFrom }).judge(), /no order has a place for .* reader of n0: read/)
  assert.throws(() => clientsOfOne({ readFrom: () => emptyMachine() }).judge(), Violation)
})

test('wrong answers to compare-and-sets are found', () => {
  assert.throws(() => clientsOfOne({ answer: (one) => (one === true ? false : one) }).judge(), Violation)
})
