/**
 * Whether an allocation can be granted just so: the one question that the planner asks before it proposes and the applier
 * before it grants. Pure.
 */
import type { Allocation, AllocationPlace, Ask, NodeRecord } from '../resource-record.ts'
import { fits, lackOf, NONE, plus, type Units } from '../units.ts'

export type GivingNode = Pick<NodeRecord, 'registration' | 'capacity' | 'used' | 'draining' | 'isOver'>
export type NodeOf = (peer: string) => GivingNode | undefined

/** Another allocation that would be ended for it. */
export type Victim = Pick<Allocation, 'status' | 'priority' | 'preemptible' | 'parts' | 'places'>

export const isGiving = (node: GivingNode | undefined): node is GivingNode =>
  node !== undefined && node.isOver !== true && node.draining !== true

/** What these allocations would give back, by node. */
const freedBy = (victims: readonly Victim[]): ReadonlyMap<string, Units> => {
  const freed = new Map<string, Units>()
  for (const { parts, places = [] } of victims)
    for (const [i, { owner }] of places.entries())
      freed.set(owner, plus(freed.get(owner) ?? NONE, parts[i]?.units ?? NONE))
  return freed
}

/** What one allocation would give back at a node. */
const freedAt = ({ parts, places = [] }: Victim, peer: string): Units => {
  let freed = NONE
  for (const [i, { owner }] of places.entries()) if (owner === peer) freed = plus(freed, parts[i]?.units ?? NONE)
  return freed
}

interface Asking {
  /** Why it cannot be granted so, in words. */
  readonly lack?: string
  /** What it takes of each node. */
  readonly asked: ReadonlyMap<string, Units>
}

const askingOf = (
  { parts, spread }: Pick<Ask, 'parts' | 'spread'>,
  places: readonly AllocationPlace[],
  nodeOf: NodeOf,
  freed: ReadonlyMap<string, Units>,
): Asking => {
  const asked = new Map<string, Units>()
  const lacks = (lack: string): Asking => ({ lack, asked })
  if (places.length !== parts.length) return lacks('one place is needed for each part')
  for (const [i, { owner, registration }] of places.entries()) {
    const part = parts[i]
    const node = nodeOf(owner)
    if (part === undefined || !isGiving(node)) return lacks(`${owner} gives nothing`)
    if (node.registration !== registration) return lacks(`${owner} is in another life`)
    if (part.owner !== undefined && part.owner !== owner) return lacks(`part ${i} is wanted of ${part.owner}`)
    if (spread === true && asked.has(owner)) return lacks(`${owner} is to give only one part`)
    const all = plus(asked.get(owner) ?? NONE, part.units)
    const used = plus(node.used, freed.get(owner) ?? NONE, -1)
    if (!fits(node.capacity, used, all)) return lacks(`${owner} has too little ${lackOf(node.capacity, used, all)}`)
    asked.set(owner, all)
  }
  return { asked }
}

/** Without ending it, it would not fit. */
const isOfUse = (
  victim: Victim,
  asked: ReadonlyMap<string, Units>,
  nodeOf: NodeOf,
  freed: ReadonlyMap<string, Units>,
): boolean => {
  for (const owner of new Set((victim.places ?? []).map((place) => place.owner))) {
    const [node, all] = [nodeOf(owner), asked.get(owner)]
    if (node === undefined || all === undefined) continue
    const others = plus(freed.get(owner) ?? NONE, freedAt(victim, owner), -1)
    if (!fits(node.capacity, plus(node.used, others, -1), all)) return true
  }
  return false
}

/** Whether it may be ended for this one. */
export const isBelow = (victim: Victim, { priority }: Pick<Ask, 'priority'>): boolean =>
  victim.status === 'allocated' && victim.preemptible === true && victim.priority < priority

/**
 * @param victims ended for it: each of them has to be of use, so that nobody loses anything for nothing
 * @returns why not, in words; undefined: it can be granted so
 */
export const obstacle = (
  ask: Pick<Ask, 'parts' | 'spread' | 'priority' | 'preempts'>,
  places: readonly AllocationPlace[],
  nodeOf: NodeOf,
  victims: readonly Victim[] = [],
): string | undefined => {
  if (victims.length > 0 && ask.preempts !== true) return 'it ends no others'
  if (victims.some((victim) => !isBelow(victim, ask))) return 'one of those that would be ended may not be'
  const freed = freedBy(victims)
  const { lack, asked } = askingOf(ask, places, nodeOf, freed)
  if (lack !== undefined) return lack
  return victims.every((victim) => isOfUse(victim, asked, nodeOf, freed))
    ? undefined
    : 'one of those that would be ended is not in the way'
}
