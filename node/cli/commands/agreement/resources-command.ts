/** `parley resources`: what nodes have to give, and who has what of it, as a running node reads it. */
import { AllocationsShownSchema, ResourcesShownSchema } from '../../../control/resource-schemas.ts'
import { print } from '../../output/print.ts'
import { shownId, table, tableWidth } from '../../output/table.ts'
import { agoOf, controlOf, GRACE_MS, type TasksCommandOptions } from './tasks-command.ts'

interface ResourcesOptions extends TasksCommandOptions {
  readonly wide?: boolean
}

export const listResources = async (options: ResourcesOptions): Promise<void> => {
  const control = await controlOf(options)
  const { timeout: timeoutMs, json, wide } = options
  const { resources } = await control.ask('POST', '/api/resources/status', ResourcesShownSchema, {
    body: { timeoutMs },
    timeoutMs: timeoutMs + GRACE_MS,
  })
  if (json === true) return print(JSON.stringify(resources))
  if (resources.length === 0) return print('no node offers anything')
  const rows = resources.map(({ owner, name, status, used, capacity }) => [
    ...[shownId(owner, wide), name, status, String(used), String(capacity)],
  ])
  print(table(['node', 'resource!', 'status', 'used', 'capacity'], rows, tableWidth(wide)))
}

const unitsText = (units: Readonly<Record<string, number>>): string =>
  Object.entries(units)
    .map(([name, amount]) => `${amount} ${name}`)
    .join(', ')

export const listAllocations = async (options: ResourcesOptions): Promise<void> => {
  const control = await controlOf(options)
  const { timeout: timeoutMs, json, wide } = options
  const { allocations } = await control.ask('POST', '/api/resources/allocations', AllocationsShownSchema, {
    body: { timeoutMs },
    timeoutMs: timeoutMs + GRACE_MS,
  })
  if (json === true) return print(JSON.stringify(allocations))
  if (allocations.length === 0) return print('nothing is allocated, and nobody waits')
  const nowMs = Date.now()
  const rows = allocations.map(({ id, status, holder, task = '', priority, parts, changedAt, reason = '' }) => [
    ...[id, status, agoOf(changedAt, nowMs), shownId(holder, wide), task, priority],
    parts
      .map(({ units, owner }) => `${unitsText(units)}${owner === undefined ? '' : ` of ${shownId(owner, wide)}`}`)
      .join('; '),
    reason,
  ])
  const columns = ['allocation!', 'status', 'for', 'holder', 'task', 'priority', 'what', 'reason']
  print(table(columns, rows, tableWidth(wide)))
}
