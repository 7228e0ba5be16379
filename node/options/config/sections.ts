/**
 * The keys that the source documents name, in one table: how each is checked, and which option it stands for. Pure.
 *
 * Their schema, their options and what is said of those without effect come from the table; `transports`, which stands for
 * addresses, has a file of its own. What this version cannot do is taken at its usual value and refused at any other, with the reason. Times are in
 * milliseconds, or with their unit (10ms, 2s).
 */
import * as z from 'zod'
import { isMap } from './key-shape.ts'
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

interface SeedKey {
  readonly key: string
  readonly check: z.ZodType
  /** The key of the option that it stands for; none for what is taken at one value only. */
  readonly option?: string
  /** The option's value by this key's; the same unless told. */
  readonly values?: Readonly<Record<string, unknown>>
  /** Why it changes nothing, for a key that reads as if it switched something on. */
  readonly idle?: string
}

const GUARANTEES = {
  'at-least-once': 'AT_LEAST_ONCE',
  'at-most-once': 'AT_MOST_ONCE',
  'exactly-once': 'EXACTLY_ONCE',
} as const

const ENCODINGS = { gzip: ['zstd', 'gzip'], zstd: ['zstd'], none: [] } as const

const SEED_KEYS: readonly SeedKey[] = [
  { key: 'service_name', option: 'name', check: z.string().describe('As name.') },
  {
    key: 'response_timeout',
    option: 'timings.call_timeout_ms',
    check: time('Milliseconds, as timings.call_timeout_ms.'),
  },
  {
    key: 'allocation_timeout',
    check: only(
      CALL_MS,
      'Milliseconds until a resource is allocated.',
      'resources are not in this version, and asking for them is a call (response_timeout)',
    ),
  },
  {
    key: 'update_timeout',
    check: only(
      CALL_MS,
      'Milliseconds until agents answer a model update.',
      'model updates are not in this version, and answers to a call have response_timeout',
    ),
  },
  {
    key: 'transports',
    check: TransportsSection.describe(
      'Where the node listens: each transport that is named here, and no other. In the place of listen.',
    ),
  },
  {
    key: 'protocols.message_format',
    check: only(
      'json',
      'How payloads are written.',
      "a contract or a type of message that wants another one says so itself (content: 'cbor')",
    ),
  },
  {
    key: 'protocols.compression',
    option: 'compression.encodings',
    values: ENCODINGS,
    check: z
      .enum(['gzip', 'zstd', 'none'])
      .describe('As compression.encodings: gzip is [zstd, gzip], the better one where both sides have it.'),
  },
  {
    key: 'protocols.encryption',
    idle: 'connections are always encrypted by Noise',
    check: only(
      'aes-256-gcm',
      'Without effect.',
      'connections are always encrypted by Noise, with ChaCha20-Poly1305; keys of topics and messages are not in this version',
    ),
  },
  {
    key: 'protocols.authentication',
    idle: 'there is no gateway in this version; nodes prove themselves by the secret',
    check: only(
      'jwt',
      'Of clients outside the mesh. Without effect.',
      'it belongs to a gateway, which is not in this version; nodes prove themselves by the secret',
    ),
  },
  {
    key: 'reliability.delivery_guarantee',
    option: 'delivery.guarantee',
    values: GUARANTEES,
    check: z
      .enum(['at-least-once', 'at-most-once', 'exactly-once'])
      .describe('As delivery.guarantee, of messages that do not say.'),
  },
  {
    key: 'reliability.retry_policy.max_retries',
    option: 'delivery.retry.max_retries',
    check: z.int().min(0).max(1_000).describe('As delivery.retry.max_retries.'),
  },
  {
    key: 'reliability.retry_policy.backoff',
    check: only('exponential', 'How the delay grows.', 'each delay is twice the one before, up to max_delay'),
  },
  {
    key: 'reliability.retry_policy.initial_delay',
    option: 'delivery.retry.initial_delay_ms',
    check: time('Milliseconds, as delivery.retry.initial_delay_ms.'),
  },
  {
    key: 'reliability.retry_policy.max_delay',
    option: 'delivery.retry.max_delay_ms',
    check: time('Milliseconds, as delivery.retry.max_delay_ms.'),
  },
  {
    key: 'flow_control.window_size',
    option: 'delivery.window',
    check: z.int().min(1).max(1_000).describe('Messages, as delivery.window.'),
  },
  {
    key: 'flow_control.batch_size',
    option: 'events.batch_events',
    check: z.int().min(1).max(1_000).describe('Events, as events.batch_events.'),
  },
  {
    key: 'flow_control.batch_timeout',
    option: 'events.batch_ms',
    check: time('Milliseconds, as events.batch_ms.'),
  },
  {
    key: 'security.encryption_enabled',
    check: only(true, 'Encryption between nodes.', 'it cannot be switched off'),
  },
  {
    key: 'security.authentication_required',
    check: only(
      true,
      'Whether peers prove who they are.',
      'it cannot be switched off; a mesh without a secret stays on this machine',
    ),
  },
  {
    key: 'security.authorization_enabled',
    idle: 'what contracts ask for is checked always, and with a shared secret every member may do everything',
    check: only(
      true,
      'Without effect.',
      'the capability that a contract asks for is checked always, and with a shared secret every member has all of them',
    ),
  },
  {
    key: 'monitoring.tracing_enabled',
    idle: 'no spans are made or exported in this version',
    check: only(
      true,
      'Without effect.',
      'no spans are made or exported in this version; a traceparent that a program gives travels always, and a message without one carries nothing',
    ),
  },
  {
    key: 'monitoring.metrics_collection',
    check: only(
      true,
      'Whether figures are counted.',
      'they always are; the debug endpoint and the health listener show them',
    ),
  },
  {
    key: 'monitoring.dead_letter_queue',
    check: only(
      true,
      'Whether messages that were given up are kept.',
      'they always are, within delivery.dead_letters and delivery.dead_letter_bytes',
    ),
  },
]

/** Of groups that have one. */
const ABOUT: Readonly<Record<string, string>> = {
  'reliability.retry_policy': 'How often and when a message is sent again.',
}

/** The keys of the table that are within `above`, as a schema; none of them is needed. */
const schemaOf = (above: readonly string[]): z.ZodType => {
  const shape: Record<string, z.ZodType> = {}
  for (const { key, check } of SEED_KEYS) {
    const path = key.split('.')
    const name = path[above.length]
    if (name === undefined || !above.every((part, at) => path[at] === part)) continue
    shape[name] ??= path.length === above.length + 1 ? check : schemaOf([...above, name])
  }
  const about = ABOUT[above.join('.')]
  const made = z.strictObject(shape).partial()
  return about === undefined ? made : made.describe(about)
}

export const SectionsSchema = schemaOf([])

/** What the sections say, checked. */
export interface Sections {
  readonly transports?: TransportsSection | undefined
  readonly [section: string]: unknown
}

const valueAt = (given: Sections, path: readonly string[]): unknown =>
  path.reduce<unknown>((tree, name) => (isMap(tree) ? tree[name] : undefined), given)

/** What is written and changes nothing, for the person who wrote it. */
export const idleKeys = (given: Sections): string[] =>
  SEED_KEYS.filter(({ key, idle }) => idle !== undefined && valueAt(given, key.split('.')) !== undefined).map(
    ({ key, idle }) => `${key} has no effect: ${idle}`,
  )

/** What a key stands for: the option, and its value. */
export interface SectionOption {
  readonly key: readonly string[]
  /** As a key too: `['delivery', 'window']`. */
  readonly option: readonly string[]
  readonly value: unknown
}

/** The options that the sections stand for, without the transports. */
export const sectionOptions = (given: Sections): SectionOption[] =>
  SEED_KEYS.flatMap(({ key, option, values }) => {
    const path = key.split('.')
    const value = valueAt(given, path)
    if (option === undefined || value === undefined) return []
    return [{ key: path, option: option.split('.'), value: values === undefined ? value : values[String(value)] }]
  })
