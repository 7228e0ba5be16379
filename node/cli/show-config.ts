/** `parley config`: what holds and where it came from, whether a file can be used, and the reference. Keeps no state. */
import { load } from '../config/load.ts'
import { reference } from '../config/reference.ts'
import { placeOfValue, type ShownValue, shownValues } from '../config/show.ts'
import { escapeText } from '../log-fields.ts'
import { table } from './table.ts'
import { flagsOf, isGiven, loadUp, UP_DEFAULTS, type UpOptions } from './up-config.ts'

export interface ShowOptions extends Pick<UpOptions, 'config'> {
  defaults?: boolean
  json?: boolean
}

const MAX_SHOWN = 200

const brief = ({ key, value }: ShownValue): string => {
  if (key === 'secret') return '(not shown)'
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text
}

const note = (notices: readonly string[]): void => {
  for (const notice of notices) process.stderr.write(`note: ${escapeText(notice)}\n`)
}

/** As `parley up` of this folder would have it. */
export const showConfig = async ({ config, defaults = false, json = false }: ShowOptions): Promise<void> => {
  const loaded = await loadUp(config === undefined ? {} : { config })
  const all = shownValues(loaded)
  const shown = defaults ? all : all.filter(({ origin }) => origin.kind !== 'default')
  if (json) {
    const values = shown.map(({ key, value, origin, writtenAs }) => ({
      key,
      ...(key === 'secret' ? { hidden: true } : { value }),
      origin,
      ...(writtenAs !== undefined && { writtenAs }),
    }))
    process.stdout.write(`${JSON.stringify({ file: loaded.file ?? null, values, notices: loaded.notices })}\n`)
    return
  }
  note(loaded.notices)
  if (shown.length === 0) {
    process.stdout.write('everything is at its default; parley config show --defaults lists it\n')
    return
  }
  const rows = shown.map((value): string[] => [value.key, brief(value), placeOfValue(value)])
  process.stdout.write(`${table(['key!', 'value', 'from'], rows)}\n`)
}

/** By itself, without flags and variables. */
export const checkConfig = async (file: string, { json = false }: { json?: boolean }): Promise<void> => {
  const loaded = await load({ config: file, env: {}, flags: flagsOf({}), defaults: UP_DEFAULTS })
  const given = shownValues(loaded).filter(({ key, origin }) => origin.kind === 'file' || isGiven(loaded, key)).length
  if (json) process.stdout.write(`${JSON.stringify({ file, given, notices: loaded.notices })}\n`)
  else {
    note(loaded.notices)
    process.stdout.write(`${file} can be used: it sets ${given} options\n`)
  }
}

export const printReference = (): void => {
  process.stdout.write(reference(UP_DEFAULTS))
}
