/** Commands of the journal in the document, and changes of parts, which travel in one of them. Pure. */
import { isDeepStrictEqual } from 'node:util'
import { BUDGETS_PART } from '../../../protocols/budget/budget-record.ts'
import { COALITIONS_PART } from '../../../protocols/coordination/coalition/coalition-record.ts'
import { PLANS_PART } from '../../../protocols/coordination/plan-record.ts'
import { journalProtocol } from '../../../protocols/journal/contract.ts'
import { OF_COORDINATOR } from '../../../protocols/journal/journal-server.ts'
import { RESOURCES_PART } from '../../../protocols/resource/resource-record.ts'
import { TASKS_PART } from '../../../protocols/task/task-record.ts'
import {
  BUDGET_CHANGES,
  COALITION_CHANGES,
  JOURNAL_KINDS,
  PLAN_CHANGES,
  RESOURCE_CHANGES,
  TASK_CHANGES,
  type WireKind,
} from '../wire-types.ts'
import { type Json, jsonSchemaOf, whoMay, withFields } from './json-schemas.ts'
import { factsOf } from './protocols.ts'
import {
  addMessage,
  BUDGET_VECTORS,
  CONTENT_TYPES,
  FAULT,
  inChannel,
  PLAN_VECTORS,
  RESOURCE_VECTORS,
  ref,
  type Sections,
  VECTORS,
} from './sections.ts'

const JOURNAL = journalProtocol.name
const SUBMIT = `${JOURNAL}.submit`
const answers = jsonSchemaOf(journalProtocol.methods.submit.response)

/** The answer of `submit` with this as its result. */
const answerWith = (result: Json): Json => {
  const key = Array.isArray(answers.oneOf) ? 'oneOf' : 'anyOf'
  const ways = answers[key]
  if (!Array.isArray(ways)) throw new Error('the answer of submit has no alternatives')
  return {
    [key]: ways.map((way: Json) => {
      const { properties = {} } = way as { properties?: Json }
      return 'result' in properties ? withFields(way, { result }) : way
    }),
  }
}

const CHANGES = [
  { part: TASKS_PART, of: 'a task', changes: TASK_CHANGES, vectors: `${VECTORS}#/changes` },
  { part: BUDGETS_PART, of: 'budgets', changes: BUDGET_CHANGES, vectors: `${BUDGET_VECTORS}#/changes` },
  { part: RESOURCES_PART, of: 'resources', changes: RESOURCE_CHANGES, vectors: `${RESOURCE_VECTORS}#/changes` },
  { part: PLANS_PART, of: 'a plan', changes: PLAN_CHANGES, vectors: `${PLAN_VECTORS}#/changes` },
  { part: COALITIONS_PART, of: 'a coalition', changes: COALITION_CHANGES, vectors: `${PLAN_VECTORS}#/coalitions` },
] as const

const changeName = (part: string, change: string): string => `${part}.change.${change}`

interface Carrier {
  readonly properties: { readonly changes: Json & { readonly items: { readonly oneOf: readonly Json[] } } }
}
/** Some changes of a part travel in one command. */
const isCarrier = (input: Json): input is Json & Carrier =>
  Array.isArray((input as Partial<Carrier>).properties?.changes?.items?.oneOf)

/** By its name where it is the change as all levels have it; a command of an earlier level has its own. */
const named = ({ schemas }: Sections, part: string, change: Json): Json => {
  const { properties } = change as { properties: { do: { const: string } } }
  const name = changeName(part, properties.do.const)
  return isDeepStrictEqual(schemas[name], change) ? ref('components', 'schemas', name) : change
}

const inputOf = (to: Sections, kind: WireKind): Json => {
  const input = jsonSchemaOf(kind.input)
  if (!isCarrier(input)) return input
  const { changes } = input.properties
  return withFields(input, {
    changes: { ...changes, items: { oneOf: changes.items.oneOf.map((one) => named(to, kind.part ?? '', one)) } },
  })
}

const resultOf = (kind: WireKind): Json => {
  if (!isCarrier(jsonSchemaOf(kind.input))) return jsonSchemaOf(kind.output)
  const ok = { type: 'object', properties: { ok: {} }, required: ['ok'] }
  const refused = { type: 'object', properties: { fault: ref('components', 'schemas', FAULT) }, required: ['fault'] }
  return { type: 'array', description: 'Of each change, in their order', items: { oneOf: [ok, refused] } }
}

export const addKind = (to: Sections, kind: WireKind): void => {
  const of = `${SUBMIT}.${kind.name}`
  const input = ref('components', 'schemas', `${kind.name}.input`)
  to.schemas[`${kind.name}.input`] = inputOf(to, kind)
  const request = withFields(jsonSchemaOf(journalProtocol.methods.submit.request), {
    kind: { const: kind.name },
    input,
  })
  const contentType = CONTENT_TYPES.json
  const about = `submit: ${kind.name}`
  const message = addMessage(to, JOURNAL, `${of}.request`, { title: about, contentType, payload: request })
  const payload = answerWith(resultOf(kind))
  const answer = addMessage(to, JOURNAL, `${of}.response`, { title: `${about}: answer`, contentType, payload })
  to.operations[of] = {
    action: 'receive',
    channel: ref('channels', JOURNAL),
    title: `The command ${kind.name} of the journal`,
    messages: [message],
    reply: { channel: ref('channels', JOURNAL), messages: [answer, inChannel(JOURNAL, FAULT)] },
    'x-method': { ...factsOf('submit', journalProtocol.methods.submit), command: kind.name, level: kind.level },
    'x-allowed': OF_COORDINATOR.has(kind.name) ? 'the coordinator, of its own node' : whoMay(jsonSchemaOf(kind.input)),
    ...(kind.part !== undefined && { 'x-part': kind.part }),
  }
}

const isOf = ({ name }: WireKind, part: string): boolean => name.startsWith(`${part}.`)

export const addChanges = (to: Sections): void => {
  for (const { part, of, changes, vectors } of CHANGES) {
    const id = `${part}.changes`
    const carriers = JOURNAL_KINDS.filter((kind) => isOf(kind, part) && isCarrier(jsonSchemaOf(kind.input)))
    to.channels[id] = {
      address: null,
      title: `Changes of ${part}, some in one command of the journal`,
      messages: {},
      'x-transport': {
        ...{ kind: 'within', operations: carriers.map(({ name }) => `${SUBMIT}.${name}`), field: 'input.changes' },
      },
    }
    for (const [change, schema] of changes) {
      const name = changeName(part, change)
      to.schemas[name] = jsonSchemaOf(schema)
      const message = addMessage(to, id, name, {
        title: `The change ${change} of ${of}`,
        contentType: CONTENT_TYPES.json,
        payload: ref('components', 'schemas', name),
        'x-vectors': `${vectors}/${change}`,
      })
      const allowed = whoMay(to.schemas[name] ?? {})
      const channel = ref('channels', id)
      to.operations[name] = { action: 'receive', channel, messages: [message], 'x-allowed': allowed }
    }
  }
}
