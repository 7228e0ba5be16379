/** `parley coalition`: agents that pursue one goal together, as a running node reads, forms, leaves and dissolves them. */
import {
  CoalitionEndedSchema,
  CoalitionShownSchema,
  CoalitionsShownSchema,
} from '../../../control/coalition-schemas.ts'
import { print } from '../../output/print.ts'
import { shownId, table, tableWidth } from '../../output/table.ts'
import { agoOf, controlOf, GRACE_MS, type TasksCommandOptions } from './tasks-command.ts'

interface CoalitionOptions extends TasksCommandOptions {
  readonly wide?: boolean
}
interface FormCommandOptions extends CoalitionOptions {
  readonly id?: string
  readonly leader?: string
  /** Milliseconds. */
  readonly ttl: number
  readonly min?: number
}

export const listCoalitions = async (options: CoalitionOptions): Promise<void> => {
  const control = await controlOf(options)
  const { timeout: timeoutMs, json, wide } = options
  const { coalitions } = await control.ask('POST', '/api/coalitions/list', CoalitionsShownSchema, {
    body: { timeoutMs },
    timeoutMs: timeoutMs + GRACE_MS,
  })
  if (json === true) return print(JSON.stringify(coalitions))
  if (coalitions.length === 0) return print('there is no coalition, and none was dissolved within the last hour')
  const nowMs = Date.now()
  const rows = coalitions.map(({ id, state, changedAt, leader, members, goal, reason = '' }) => [
    ...[id, state, agoOf(changedAt, nowMs), shownId(leader, wide), String(members.length), goal, reason],
  ])
  print(table(['coalition!', 'state', 'for', 'leader', 'members', 'goal', 'reason'], rows, tableWidth(wide)))
}

export const formCoalition = async (
  goal: string,
  members: readonly string[],
  options: FormCommandOptions,
): Promise<void> => {
  const control = await controlOf(options)
  const { timeout: timeoutMs, json, wide, id, leader, ttl: ttlMs, min: minMembers } = options
  const formed = await control.ask('POST', '/api/coalitions/form', CoalitionShownSchema, {
    body: {
      ...{ goal, members, ttlMs, timeoutMs },
      ...(id !== undefined && { id }),
      ...(leader !== undefined && { leader }),
      ...(minMembers !== undefined && { minMembers }),
    },
    timeoutMs: timeoutMs + GRACE_MS,
  })
  if (json === true) return print(JSON.stringify(formed))
  print(`the coalition ${formed.id} is formed, until ${new Date(formed.until).toISOString()}`)
  const rows = formed.members.map(({ peer }) => [shownId(peer, wide), peer === formed.leader ? 'leads' : ''])
  print(table(['member!', ''], rows, tableWidth(wide)))
}

const end = async (
  how: 'leave' | 'dissolve',
  body: { readonly id: string; readonly reason?: string },
  options: CoalitionOptions,
): Promise<void> => {
  const control = await controlOf(options)
  const ended = await control.ask('POST', `/api/coalitions/${how}`, CoalitionEndedSchema, {
    body,
    timeoutMs: options.timeout + GRACE_MS,
  })
  if (options.json === true) return print(JSON.stringify(ended))
  print(how === 'leave' ? `this node is in the coalition ${body.id} no more` : `the coalition ${body.id} is dissolved`)
}

export const leaveCoalition = (id: string, options: CoalitionOptions): Promise<void> => end('leave', { id }, options)

export const dissolveCoalition = (
  id: string,
  { reason, ...options }: CoalitionOptions & { readonly reason?: string },
): Promise<void> => end('dissolve', { id, ...(reason !== undefined && { reason }) }, options)
