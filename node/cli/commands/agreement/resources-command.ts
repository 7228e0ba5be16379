/** `parley resources`: what nodes have to give, and who has what of it, as a running node reads it. */
import { AllocationsShownSchema, ResourcesShownSchema } from '../../../control/resource-schemas.ts'
import { print } from '../../output/print.ts'
import { shownId, table, tableWidth } from '../../output/table.ts'
import { agoOf, controlOf, GRACE_MS, type TasksCommandOptions } from './tasks-command.ts'

interface ResourcesOptions extends TasksCommandOptions {
  readonly wide?: boolean
}

interface Amounts {
  readonly name: string
  readonly used: number
  readonly capacity: number
}

/** Of all nodes together. */
const totalsOf = (resources: readonly Amounts[]): string[] => {
  const totals = new Map<string, Amounts>()
  for (const { name, used, capacity } of resources) {
    const before = totals.get(name) ?? { name, used: 0, capacity: 0 }
    totals.set(name, { name, used: before.used + used, capacity: before.capacity + capacity })
  }
  return [...totals.values()].map(({ name, used, capacity }) => `${used} of ${capacity} ${name} are used`)
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
  for (const line of totalsOf(resources)) print(line)
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
