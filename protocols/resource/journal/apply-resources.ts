/** What comes of changes of resources. Pure. */
import { ParleyError, stateError } from '../../errors.ts'
import { compareFences } from '../../journal/fencing/fence.ts'
import { obstacle } from '../planner/feasibility.ts'
import { type Allocation, type AllocationStatus, type Ask, isOpen, type NodeRecord } from '../resource-record.ts'
import { amountOf, fits, NONE } from '../units.ts'
import type { ResourceChangeOf } from './resource-changes.ts'
import type { ResourceLedger } from './resource-ledger.ts'

/** How much larger a record becomes for each part that is granted: a peer id and a registration. */
const PLACE_BYTES = 112
/** And for its state. */
const GROWTH_BYTES = 400

export interface Registered {
  /** Absent: an earlier life of this node has to end first; it registers again after a while. */
  readonly registration?: number
}

const isEmpty = ({ holds, gives }: NodeRecord): boolean => holds === 0 && gives === 0

/** @throws STA003 `in-use` */
const checkCapacity = ({ used }: NodeRecord, capacity: Readonly<Record<string, number>>): void => {
  if (fits(capacity, NONE, used)) return
  const name = Object.keys(used).find((one) => amountOf(used, one) > amountOf(capacity, one))
  throw stateError('in-use', `more ${name} is allocated at this node than it would have`, 'let it drain first', {
    resource: name,
    used: amountOf(used, name ?? ''),
  })
}

/** Of the same process it stays the same one; one that was started again has nothing of what it had. */
export const registerNode = (ledger: ResourceLedger, change: ResourceChangeOf<'register'>): Registered => {
  const { incarnation, capacity, draining = false } = change
  const { by, at, fence } = ledger.facts
  const before = ledger.node(by)
  if (before !== undefined && before.incarnation > incarnation) ledger.live(by, -1)
  const isSame = before?.incarnation === incarnation && before.isOver !== true
  const rest = { incarnation, renewedAt: at, capacity, ...(draining && { draining }) }
  if (isSame) {
    checkCapacity(before, capacity)
    const { registration, used, holds, gives } = before
    ledger.putNode(by, { ...rest, registration, used, holds, gives })
    return { registration }
  }
  if (before !== undefined && !isEmpty(before)) {
    if (before.isOver !== true) ledger.putNode(by, { ...before, isOver: true })
    return {}
  }
  ledger.putNode(by, { ...rest, registration: fence.index, used: NONE, holds: 0, gives: 0 })
  return { registration: fence.index }
}

export const renewNode = (ledger: ResourceLedger, { registration }: ResourceChangeOf<'renew'>): null => {
  const { by, at } = ledger.facts
  const record = ledger.live(by, registration)
  if (record.renewedAt !== at) ledger.putNode(by, { ...record, renewedAt: at })
  return null
}

/** @returns whether nothing has to end first */
const endNode = (ledger: ResourceLedger, peer: string, record: NodeRecord): boolean => {
  if (isEmpty(record)) ledger.deleteNode(peer)
  else if (record.isOver !== true) ledger.putNode(peer, { ...record, isOver: true })
  return isEmpty(record)
}

export const withdrawNode = (
  ledger: ResourceLedger,
  { registration }: ResourceChangeOf<'withdraw'>,
): { isGone: boolean } => {
  const { by } = ledger.facts
  return { isGone: endNode(ledger, by, ledger.live(by, registration)) }
}

/** Not renewed for as long as it may; said again once all that it had has ended. */
export const dismissNode = (ledger: ResourceLedger, change: ResourceChangeOf<'dismiss'>): { isGone: boolean } => {
  const { epoch, peer, registration } = change
  ledger.requireCoordinator(epoch)
  const record = ledger.node(peer)
  if (record?.registration !== registration) return { isGone: true }
  return { isGone: endNode(ledger, peer, record) }
}

export interface Asked {
  readonly status: AllocationStatus
  /** It was asked for before, just so. */
  readonly isKnown: boolean
}

const isSameAsk = ({ parts, priority, task }: Allocation, ask: Ask): boolean =>
  task === ask.task && priority === ask.priority && JSON.stringify(parts) === JSON.stringify(ask.parts)

const known = (id: string): Error =>
  stateError('exists', `there is an allocation ${id} already`, 'choose another id', { allocation: id })

/** What its record may take. */
const sizeOfAsk = (ask: Ask): number => JSON.stringify(ask).length + ask.parts.length * PLACE_BYTES + GROWTH_BYTES

export const allocate = (ledger: ResourceLedger, { id, registration, ask }: ResourceChangeOf<'allocate'>): Asked => {
  const { by, at } = ledger.facts
  ledger.live(by, registration)
  const before = ledger.allocation(id)
  if (before !== undefined) {
    if (before.holder === by && isSameAsk(before, ask)) return { status: before.status, isKnown: true }
    throw known(id)
  }
  const rest = { holder: by, registration, askedAt: at, changedAt: at, size: sizeOfAsk(ask) }
  ledger.add(id, { ...ask, ...rest, status: 'waiting' })
  return { status: 'waiting', isKnown: false }
}

/** Nobody but its holder. What ended, or was released before, is released too. */
export const release = (ledger: ResourceLedger, { id }: ResourceChangeOf<'release'>): null => {
  const before = ledger.allocation(id)
  if (before === undefined) return null
  if (before.holder !== ledger.facts.by)
    throw new ParleyError('SEC002', 'only who holds an allocation releases it', { hint: 'ask its holder' })
  ledger.delete(id, before)
  return null
}

const cannotBeGranted = (id: string, why: string): Error =>
  stateError('does-not-fit', `the allocation ${id} cannot be granted so: ${why}`, 'plan again', { allocation: id })

export const grant = (ledger: ResourceLedger, { epoch, id, places, victims = [] }: ResourceChangeOf<'grant'>): null => {
  ledger.requireCoordinator(epoch)
  const wanted = ledger.inStatus(id, 'waiting')
  ledger.live(wanted.holder, wanted.registration)
  const ended = victims.map(({ id: victim, fence }) => {
    const found = ledger.inStatus(victim, 'allocated')
    // Another grant of the same name is another one.
    if (found.fence === undefined || compareFences(found.fence, fence) !== 0)
      throw stateError('allocation-status', `the allocation ${victim} was granted again`, 'look at it again', {})
    return { victim, found }
  })
  const isTwice = new Set(victims.map((one) => one.id)).size < victims.length
  const why = isTwice
    ? 'one of those that would be ended is named twice'
    : obstacle(
        wanted,
        places,
        (peer) => ledger.node(peer),
        ended.map(({ found }) => found),
      )
  if (why !== undefined) throw cannotBeGranted(id, why)
  for (const { victim, found } of ended)
    ledger.end(victim, found, { status: 'preempted', reason: `for ${id}, of a higher priority` })
  ledger.grant(id, wanted, places)
  return null
}

/** For a task, before it is placed there: granted at once. */
export const assign = (ledger: ResourceLedger, change: ResourceChangeOf<'assign'>): null => {
  const { epoch, id, task, peer, registration, priority, units } = change
  ledger.requireCoordinator(epoch)
  if (ledger.allocation(id) !== undefined) throw known(id)
  ledger.live(peer, registration)
  const ask = { task, priority, parts: [{ units, owner: peer }] }
  const places = [{ owner: peer, registration }]
  const why = obstacle(ask, places, (one) => ledger.node(one))
  if (why !== undefined) throw cannotBeGranted(id, why)
  const { at } = ledger.facts
  const rest = { holder: peer, registration, askedAt: at, changedAt: at, size: sizeOfAsk(ask), isAssigned: true }
  const wanted: Allocation = { ...ask, ...rest, status: 'waiting' }
  ledger.add(id, wanted)
  ledger.grant(id, wanted, places)
  return null
}

/** Nothing but what was assigned: what a node asked for is given back by its holder alone. */
export const unassign = (ledger: ResourceLedger, { epoch, id }: ResourceChangeOf<'unassign'>): null => {
  ledger.requireCoordinator(epoch)
  const before = ledger.allocation(id)
  if (before === undefined) return null
  if (before.isAssigned !== true)
    throw new ParleyError('SEC002', 'only who holds an allocation releases it', { hint: 'ask its holder' })
  ledger.delete(id, before)
  return null
}

export const deny = (ledger: ResourceLedger, { epoch, id, reason }: ResourceChangeOf<'deny'>): null => {
  ledger.requireCoordinator(epoch)
  ledger.end(id, ledger.inStatus(id, 'waiting'), { status: 'denied', reason })
  return null
}

/** Some life that it rests on is over. @throws STA003 `allocation-status` where none is */
export const expire = (ledger: ResourceLedger, { epoch, id, reason }: ResourceChangeOf<'expire'>): null => {
  ledger.requireCoordinator(epoch)
  const found = ledger.find(id)
  const isOver = (peer: string, registration: number): boolean => {
    const record = ledger.node(peer)
    return record?.registration !== registration || record.isOver === true
  }
  const rests = [{ owner: found.holder, registration: found.registration }, ...(found.places ?? [])]
  if (!isOpen(found) || !rests.some(({ owner, registration }) => isOver(owner, registration)))
    throw stateError('allocation-status', `nothing that the allocation ${id} rests on is over`, 'look at it again', {
      allocation: id,
    })
  ledger.end(id, found, { status: 'expired', reason })
  return null
}

export const forget = (ledger: ResourceLedger, { epoch, ids }: ResourceChangeOf<'forget'>): null => {
  ledger.requireCoordinator(epoch)
  for (const id of ids) {
    const found = ledger.allocation(id)
    if (found !== undefined && !isOpen(found)) ledger.delete(id, found)
  }
  return null
}
