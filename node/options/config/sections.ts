/**
 * The sections that the source documents name, and which options they stand for. Pure.
 *
 * What this version cannot do is taken at its usual value and refused at any other, with the reason. Times are in
 * milliseconds, or with their unit (10ms, 2s). Source: seed 002, communication configuration; seed 000, timeouts.
 */
import * as z from 'zod'
import { TransportsSection } from './transports-section.ts'

const DAY_MS = 86_400_000
const CALL_MS = 30_000

const toMs = (text: string): number => Number.parseInt(text, 10) * (text.endsWith('ms') ? 1 : 1_000)

const time = (about: string) =>
  z
    .union(
      [
        z.int().min(1).max(DAY_MS),
        z
          .string()
          .regex(/^\d{1,8}(ms|s)$/)
          .transform(toMs),
      ],
      {
        error: `use whole milliseconds up to ${DAY_MS}, or a text such as 10ms or 2s`,
      },
    )
    .describe(about)

/** Taken at this value only. */
const only = <const V extends string | number | boolean>(value: V, about: string, reason: string) =>
  z.literal(value, { error: `only ${value} can be had: ${reason}` }).describe(`${about} Only ${value}: ${reason}.`)

const RetryPolicy = z.strictObject({
  max_retries: z.int().min(0).max(1_000).describe('As delivery.retry.max_retries.'),
  backoff: only('exponential', 'How the delay grows.', 'each delay is twice the one before, up to max_delay'),
  initial_delay: time('Milliseconds, as delivery.retry.initial_delay_ms.'),
  max_delay: time('Milliseconds, as delivery.retry.max_delay_ms.'),
})

export const Sections = z
  .strictObject({
    service_name: z.string().describe('As name.'),
    response_timeout: time('Milliseconds, as timings.call_timeout_ms.'),
    allocation_timeout: only(
      CALL_MS,
      'Milliseconds until a resource is allocated.',
      'resources are not in this version, and asking for them is a call (response_timeout)',
    ),
    update_timeout: only(
      CALL_MS,
      'Milliseconds until agents answer a model update.',
      'model updates are not in this version, and answers to a call have response_timeout',
    ),
    transports: TransportsSection.describe(
      'Where the node listens: each transport that is named here, and no other. In the place of listen.',
    ),
    protocols: z
      .strictObject({
        message_format: only(
          'json',
          'How payloads are written.',
          "a contract or a type of message that wants another one says so itself (content: 'cbor')",
        ),
        compression: z
          .enum(['gzip', 'zstd', 'none'])
          .describe('As compression.encodings: gzip is [zstd, gzip], the better one where both sides have it.'),
        encryption: only(
          'aes-256-gcm',
          'Without effect.',
          'connections are always encrypted by Noise, with ChaCha20-Poly1305; keys of topics and messages are not in this version',
        ),
        authentication: only(
          'jwt',
          'Of clients outside the mesh. Without effect.',
          'it belongs to a gateway, which is not in this version; nodes prove themselves by the secret',
        ),
      })
      .partial(),
    reliability: z
      .strictObject({
        delivery_guarantee: z
          .enum(['at-least-once', 'at-most-once', 'exactly-once'])
          .describe('As delivery.guarantee, of messages that do not say.'),
        retry_policy: RetryPolicy.partial().describe('How often and when a message is sent again.'),
      })
      .partial(),
    flow_control: z
      .strictObject({
        window_size: z.int().min(1).max(1_000).describe('Messages, as delivery.window.'),
        batch_size: z.int().min(1).max(1_000).describe('Events, as events.batch_events.'),
        batch_timeout: time('Milliseconds, as events.batch_ms.'),
      })
      .partial(),
    security: z
      .strictObject({
        encryption_enabled: only(true, 'Encryption between nodes.', 'it cannot be switched off'),
        authentication_required: only(
          true,
          'Whether peers prove who they are.',
          'it cannot be switched off; a mesh without a secret stays on this machine',
        ),
        authorization_enabled: only(
          true,
          'Without effect.',
          'the capability that a contract asks for is checked always, and with a shared secret every member has all of them',
        ),
      })
      .partial(),
    monitoring: z
      .strictObject({
        tracing_enabled: only(
          true,
          'Without effect.',
          'no spans are made or exported in this version; a traceparent that a program gives travels always, and a message without one carries nothing',
        ),
        metrics_collection: only(
          true,
          'Whether figures are counted.',
          'they always are; the debug endpoint and the health listener show them',
        ),
        dead_letter_queue: only(
          true,
          'Whether messages that were given up are kept.',
          'they always are, within delivery.dead_letters and delivery.dead_letter_bytes',
        ),
      })
      .partial(),
  })
  .partial()
export type Sections = z.output<typeof Sections>

const GUARANTEE = {
  'at-least-once': 'AT_LEAST_ONCE',
  'at-most-once': 'AT_MOST_ONCE',
  'exactly-once': 'EXACTLY_ONCE',
} as const

const ENCODINGS = { gzip: ['zstd', 'gzip'], zstd: ['zstd'], none: [] } as const

/** Keys that read as if they switched something on. */
const IDLE = [
  [
    'security.authorization_enabled',
    'what contracts ask for is checked always, and with a shared secret every member may do everything',
  ],
  ['monitoring.tracing_enabled', 'no spans are made or exported in this version'],
  ['protocols.encryption', 'connections are always encrypted by Noise'],
  ['protocols.authentication', 'there is no gateway in this version; nodes prove themselves by the secret'],
] as const

/** What is written and changes nothing, for the person who wrote it. */
export const idleKeys = (given: Sections): string[] =>
  IDLE.flatMap(([key, reason]) => {
    const [section = '', name = ''] = key.split('.')
    const values: unknown = Reflect.get(given, section)
    const isGiven = typeof values === 'object' && values !== null && Reflect.get(values, name) !== undefined
    return isGiven ? [`${key} has no effect: ${reason}`] : []
  })

/** What a key stands for: the option, and its value. */
export interface SectionOption {
  readonly key: readonly string[]
  /** As a key too: `['delivery', 'window']`. */
  readonly option: readonly string[]
  readonly value: unknown
}

/** The options that the sections stand for, without the transports. */
export const sectionOptions = (given: Sections): SectionOption[] => {
  const { protocols = {}, reliability = {}, flow_control: flow = {} } = given
  const { retry_policy: retry = {}, delivery_guarantee: guarantee } = reliability
  const all: [string, string, unknown][] = [
    ['service_name', 'name', given.service_name],
    ['response_timeout', 'timings.call_timeout_ms', given.response_timeout],
    ['protocols.compression', 'compression.encodings', protocols.compression && ENCODINGS[protocols.compression]],
    ['reliability.delivery_guarantee', 'delivery.guarantee', guarantee && GUARANTEE[guarantee]],
    ['reliability.retry_policy.max_retries', 'delivery.retry.max_retries', retry.max_retries],
    ['reliability.retry_policy.initial_delay', 'delivery.retry.initial_delay_ms', retry.initial_delay],
    ['reliability.retry_policy.max_delay', 'delivery.retry.max_delay_ms', retry.max_delay],
    ['flow_control.window_size', 'delivery.window', flow.window_size],
    ['flow_control.batch_size', 'events.batch_events', flow.batch_size],
    ['flow_control.batch_timeout', 'events.batch_ms', flow.batch_timeout],
  ]
  return all.flatMap(([key, option, value]) =>
    value === undefined ? [] : [{ key: key.split('.'), option: option.split('.'), value }],
  )
}
