/** Messages of budgets as others write them (test/interop/vectors/budgets.json): what is good is taken, what is bad is refused. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import * as z from 'zod'
import { budgetProtocol } from '../../../protocols/budget/contract.ts'
import { BudgetChangeSchema } from '../../../protocols/budget/journal/budget-changes.ts'

const Cases = z.record(z.string(), z.object({ good: z.array(z.unknown()).min(1), bad: z.array(z.unknown()).min(1) }))
const vectors = z
  .object({ protocol: Cases, changes: Cases })
  .parse(JSON.parse(readFileSync(new URL('../../interop/vectors/budgets.json', import.meta.url), 'utf8')))
const { feed } = budgetProtocol.methods
const SCHEMAS: Readonly<Record<keyof typeof vectors, Readonly<Record<string, z.ZodType>>>> = {
  protocol: { 'feed request': feed.request, 'feed item': feed.stream },
  changes: Object.fromEntries(BudgetChangeSchema.options.map((schema) => [schema.shape.do.value, BudgetChangeSchema])),
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
