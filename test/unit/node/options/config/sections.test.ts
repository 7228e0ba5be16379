/** The keys of the source documents: the options that they stand for, and those without effect. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findShape } from '../../../../../node/options/config/key-shape.ts'
import { keySpace } from '../../../../../node/options/config/key-space.ts'
import { idleKeys, type Sections, SectionsSchema, sectionOptions } from '../../../../../node/options/config/sections.ts'

const all = {
  service_name: 'ada',
  response_timeout: '2s',
  protocols: { message_format: 'json', compression: 'gzip', encryption: 'aes-256-gcm', authentication: 'jwt' },
  reliability: {
    delivery_guarantee: 'exactly-once',
    retry_policy: { max_retries: 3, backoff: 'exponential', initial_delay: 10, max_delay: '1s' },
  },
  flow_control: { window_size: 8, batch_size: 9, batch_timeout: '10ms' },
  security: { authorization_enabled: true },
  monitoring: { tracing_enabled: true },
}

// Checked by the line that it stands in.
const parse = (given: unknown): Sections => SectionsSchema.parse(given) as Sections

test('each key that stands for an option names one that there is, and gives it its value', () => {
  const options = sectionOptions(parse(all))
  assert.deepEqual(Object.fromEntries(options.map(({ option, value }) => [option.join('.'), value])), {
    name: 'ada',
    'timings.call_timeout_ms': 2_000,
    'compression.encodings': ['zstd', 'gzip'],
    'delivery.guarantee': 'EXACTLY_ONCE',
    'delivery.retry.max_retries': 3,
    'delivery.retry.initial_delay_ms': 10,
    'delivery.retry.max_delay_ms': 1_000,
    'delivery.window': 8,
    'events.batch_events': 9,
    'events.batch_ms': 10,
  })
  for (const { option } of options) assert.ok(findShape(keySpace().options, option), option.join('.'))
})

test('nothing that is not written stands for anything', () => {
  assert.deepEqual(sectionOptions(parse({ flow_control: {} })), [])
  assert.deepEqual(idleKeys(parse({ security: {}, transports: {} })), [])
})

test('keys without effect are told', () => {
  assert.deepEqual(
    idleKeys(parse(all)).map((line) => line.split(' ')[0]),
    [
      'protocols.encryption',
      'protocols.authentication',
      'security.authorization_enabled',
      'monitoring.tracing_enabled',
    ],
  )
})

test('unknown keys are refused at each level, and other values where only one can be had', () => {
  for (const given of [
    { flow: {} },
    { flow_control: { window: 1 } },
    { reliability: { retry_policy: { retries: 1 } } },
    { security: { encryption_enabled: false } },
    { response_timeout: 'soon' },
    { flow_control: { window_size: 1_001 } },
  ])
    assert.equal(SectionsSchema.safeParse(given).success, false, JSON.stringify(given))
})
