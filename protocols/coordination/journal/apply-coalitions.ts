/** What is decided about coalitions: by who proposes one, by its members, and by whoever coordinates. Pure. */
import { ParleyError, stateError } from '../../errors.ts'
import type { CoalitionMember, CoalitionRecord, ProposedCoalition } from '../coalition/coalition-record.ts'
import type { CoalitionChange, CoalitionChangeOf } from './coalition-changes.ts'
import { type CoalitionLedger, sizeOfCoalition } from './coalition-ledger.ts'

const NOBODY_LEFT = 'none of its members is left'

const isSame = (record: CoalitionRecord, { goal, leader, members, minMembers, ttlMs }: ProposedCoalition): boolean => {
  const { proposed } = record
  const hasSameTerms = record.goal === goal && record.minMembers === minMembers && record.ttlMs === ttlMs
  const isSameSet = proposed.members.length === members.length && members.every((p, i) => p === proposed.members[i])
  return hasSameTerms && isSameSet && proposed.leader === leader
}

const unusable = (id: string, why: string): ParleyError =>
  new ParleyError('MSG001', `the coalition ${id} cannot be formed: ${why}`, {
    hint: 'name each member once, the leader among them, and at most as many that have to agree',
  })

/** @throws MSG001 */
const checkProposal = (id: string, { leader, members, minMembers }: ProposedCoalition): void => {
  if (new Set(members).size !== members.length) throw unusable(id, 'a member is named twice')
  if (!members.includes(leader)) throw unusable(id, 'its leader is no member')
  if (minMembers > members.length) throw unusable(id, `it has ${members.length} members, and needs ${minMembers}`)
}

const propose = (ledger: CoalitionLedger, { id, coalition }: CoalitionChangeOf<'propose'>): { isKnown: boolean } => {
  const { by, at, fence } = ledger.facts
  const before = ledger.find(id)
  if (before !== undefined) {
    if (before.owner === by && isSame(before, coalition)) return { isKnown: true }
    throw stateError('exists', `there is a coalition ${id} already`, 'choose another id; leave it out for a new one', {
      coalition: id,
    })
  }
  checkProposal(id, coalition)
  const { goal, leader, members, minMembers, ttlMs } = coalition
  ledger.add(id, {
    ...{ goal, owner: by, leader, minMembers, ttlMs, state: 'forming', until: at + ttlMs },
    ...{ members: members.map((peer) => ({ peer, accepted: false })), proposed: { leader, members } },
    ...{ madeAt: at, changedAt: at, fence, size: sizeOfCoalition(coalition) },
  })
  return { isKnown: false }
}

const put = (ledger: CoalitionLedger, id: string, record: CoalitionRecord, more: Partial<CoalitionRecord>): null => {
  const { at, fence } = ledger.facts
  ledger.put(id, { ...record, ...more, changedAt: at, fence })
  return null
}

const isMember = ({ members }: CoalitionRecord, peer: string): boolean => members.some((one) => one.peer === peer)

/** The same leader while it is a member, otherwise the first one. */
const leaderOf = ({ leader }: CoalitionRecord, members: readonly CoalitionMember[]): string =>
  members.some(({ peer }) => peer === leader) ? leader : (members[0]?.peer ?? leader)

/** Where nobody is left it is dissolved. */
const without = (ledger: CoalitionLedger, id: string, record: CoalitionRecord, gone: ReadonlySet<string>): null => {
  const members = record.members.filter(({ peer }) => !gone.has(peer))
  const isEmpty = members.length === 0
  const over = isEmpty && ({ state: 'dissolved', reason: NOBODY_LEFT } as const)
  return put(ledger, id, record, { members, leader: leaderOf(record, members), ...over })
}

const leave = (ledger: CoalitionLedger, { id }: CoalitionChangeOf<'leave'>): null => {
  const record = ledger.open(id)
  const { by } = ledger.facts
  if (!isMember(record, by))
    throw new ParleyError('SEC002', `${by} is no member of the coalition ${id}`, {
      hint: 'only its members leave a coalition',
    })
  return without(ledger, id, record, new Set([by]))
}

const dissolve = (ledger: CoalitionLedger, { id, epoch, reason }: CoalitionChangeOf<'dissolve'>): null => {
  if (epoch !== undefined) ledger.requireCoordinator(epoch)
  const record = ledger.open(id)
  const { by } = ledger.facts
  // Who was only asked to lead it has no say yet.
  const leads = record.state === 'active' && record.leader === by
  if (epoch === undefined && record.owner !== by && !leads)
    throw new ParleyError('SEC002', `the coalition ${id} is of somebody else`, {
      hint: 'who proposed it and who leads it dissolve it, and holders of the capability coordinate; its members leave it',
    })
  return put(ledger, id, record, { state: 'dissolved', ...(reason !== undefined && { reason }) })
}

const changedMeanwhile = (id: string, { state }: CoalitionRecord): ParleyError =>
  stateError('coalition-status', `the coalition ${id} changed meanwhile`, 'look at it again', { coalition: id, state })

/** Who left meanwhile joins no more. */
const join = (ledger: CoalitionLedger, { epoch, id, peers }: CoalitionChangeOf<'join'>): null => {
  ledger.requireCoordinator(epoch)
  const record = ledger.open(id)
  if (record.state !== 'forming') throw changedMeanwhile(id, record)
  const joined = new Set(peers)
  const members = record.members.map((one) => (joined.has(one.peer) ? { ...one, accepted: true } : one))
  return put(ledger, id, record, { members })
}

const form = (ledger: CoalitionLedger, { epoch, id, as }: CoalitionChangeOf<'form'>): null => {
  ledger.requireCoordinator(epoch)
  const record = ledger.open(id)
  const members = record.members.filter(({ accepted }) => accepted)
  const isReady = record.state === 'forming' && members.length >= record.minMembers
  if (record.fence.index !== as || !isReady) throw changedMeanwhile(id, record)
  return put(ledger, id, record, { state: 'active', members, leader: leaderOf(record, members) })
}

const drop = (ledger: CoalitionLedger, { epoch, id, as, peers }: CoalitionChangeOf<'drop'>): null => {
  ledger.requireCoordinator(epoch)
  const record = ledger.open(id)
  if (record.fence.index !== as || record.state !== 'active') throw changedMeanwhile(id, record)
  return without(ledger, id, record, new Set(peers))
}

const lead = (ledger: CoalitionLedger, { epoch, id, as, leader }: CoalitionChangeOf<'lead'>): null => {
  ledger.requireCoordinator(epoch)
  const record = ledger.open(id)
  if (record.fence.index !== as || record.state !== 'active' || !isMember(record, leader))
    throw changedMeanwhile(id, record)
  return put(ledger, id, record, { leader })
}

const forget = (ledger: CoalitionLedger, { epoch, ids }: CoalitionChangeOf<'forget'>): null => {
  ledger.requireCoordinator(epoch)
  for (const id of ids) {
    const record = ledger.find(id)
    if (record?.state === 'dissolved') ledger.forget(id, record)
  }
  return null
}

export const applyCoalitionChange = (ledger: CoalitionLedger, change: CoalitionChange): unknown => {
  switch (change.do) {
    case 'propose':
      return propose(ledger, change)
    case 'leave':
      return leave(ledger, change)
    case 'dissolve':
      return dissolve(ledger, change)
    case 'join':
      return join(ledger, change)
    case 'form':
      return form(ledger, change)
    case 'drop':
      return drop(ledger, change)
    case 'lead':
      return lead(ledger, change)
    case 'forget':
      return forget(ledger, change)
  }
}
