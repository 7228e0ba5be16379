/** Messages of resources as others write them (test/interop/vectors/resources.json): what is good is taken, what is bad is refused. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import * as z from 'zod'
import { RESOURCE_ANSWERS, RESOURCE_MESSAGES } from '../../../protocols/resource/client/resource-messages.ts'
import { resourceProtocol } from '../../../protocols/resource/contract.ts'
import { ResourceChangeSchema } from '../../../protocols/resource/journal/resource-changes.ts'
import { resourceRequestEvent, resourceStatusEvent } from '../../../protocols/resource/resource-events.ts'

const Cases = z.record(z.string(), z.object({ good: z.array(z.unknown()).min(1), bad: z.array(z.unknown()).min(1) }))
const vectors = z
  .object({ messages: Cases, answers: Cases, events: Cases, protocol: Cases, changes: Cases })
  .parse(JSON.parse(readFileSync(new URL('../../interop/vectors/resources.json', import.meta.url), 'utf8')))
const { feed } = resourceProtocol.methods
const SCHEMAS: Readonly<Record<keyof typeof vectors, Readonly<Record<string, z.ZodType>>>> = {
  messages: RESOURCE_MESSAGES,
  answers: RESOURCE_ANSWERS,
  events: Object.fromEntries([resourceRequestEvent, resourceStatusEvent].map(({ topic, schema }) => [topic, schema])),
  protocol: { 'feed request': feed.request, 'feed item': feed.stream },
  changes: Object.fromEntries(
    ResourceChangeSchema.options.map((schema) => [schema.shape.do.value, ResourceChangeSchema]),
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
