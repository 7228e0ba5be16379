/** Messages of plans and coalitions as others write them (test/interop/vectors/coordination.json): what is good is taken, what is bad is refused. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import * as z from 'zod'
import { coalitionProtocol } from '../../../protocols/coordination/coalition/coalition-contract.ts'
import {
  agentStatusEvent,
  coordinationProtocol,
  directiveEvent,
  performanceMonitorProtocol,
  progressEvent,
  resourceManagerProtocol,
} from '../../../protocols/coordination/contract.ts'
import { CoalitionChangeSchema } from '../../../protocols/coordination/journal/coalition-changes.ts'
import { PlanChangeSchema } from '../../../protocols/coordination/journal/plan-changes.ts'

const Cases = z.record(z.string(), z.object({ good: z.array(z.unknown()).min(1), bad: z.array(z.unknown()).min(1) }))
const vectors = z
  .object({ protocol: Cases, events: Cases, changes: Cases, coalitions: Cases })
  .parse(JSON.parse(readFileSync(new URL('../../interop/vectors/coordination.json', import.meta.url), 'utf8')))
const methods = {
  ...coalitionProtocol.methods,
  ...{ ...coordinationProtocol.methods, ...performanceMonitorProtocol.methods, ...resourceManagerProtocol.methods },
}
const SCHEMAS: Readonly<Record<keyof typeof vectors, Readonly<Record<string, z.ZodType>>>> = {
  protocol: Object.fromEntries(
    Object.entries(methods).flatMap(([name, { request, response }]): [string, z.ZodType][] => [
      [`${name} request`, request],
      [`${name} response`, response],
    ]),
  ),
  events: Object.fromEntries(
    [directiveEvent, agentStatusEvent, progressEvent].map(({ topic, schema }): [string, z.ZodType] => [topic, schema]),
  ),
  changes: Object.fromEntries(PlanChangeSchema.options.map((schema) => [schema.shape.do.value, PlanChangeSchema])),
  coalitions: Object.fromEntries(
    CoalitionChangeSchema.options.map((schema) => [schema.shape.do.value, CoalitionChangeSchema]),
  ),
}

for (const [where, schemas] of Object.entries(SCHEMAS))
  test(`${where}: each one has a vector, and is taken as it was written, or refused`, () => {
    const cases = vectors[where as keyof typeof vectors]
    assert.deepEqual(Object.keys(cases).sort(), Object.keys(schemas).sort())
    for (const [name, { good, bad }] of Object.entries(cases)) {
      const schema = schemas[name]
      for (const one of good) assert.deepEqual(schema?.parse(one), one, `${name} ${JSON.stringify(one)}`)
      for (const one of bad) assert.ok(schema?.safeParse(one).success === false, `${name} ${JSON.stringify(one)}`)
    }
  })
