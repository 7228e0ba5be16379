/** `parley config`: what holds and where it came from, whether a file can be used, and the reference. */

import { escapeText } from '../../../observe/log/log-fields.ts'
import { type LoadedConfig, loadConfig } from '../../../options/config/load-config.ts'
import { referenceMarkdown } from '../../../options/config/reference.ts'
import { originOfValue, type ShownValue, shownValues } from '../../../options/config/shown-values.ts'
import { parseOptions } from '../../../options/schema.ts'
import { optionsOf } from '../../../parts/runner.ts'
import { table } from '../../output/table.ts'
import { loadParts } from '../../start/load-parts.ts'
import {
  entriesOfFlags,
  isExplicit,
  loadUpConfiguration,
  UP_DEFAULTS,
  type UpOptions,
} from '../../start/up-configuration.ts'

export interface ConfigCommandOptions extends Pick<UpOptions, 'config'> {
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
export const showConfig = async ({ config, defaults = false, json = false }: ConfigCommandOptions): Promise<void> => {
  const loaded = await loadUpConfiguration(config === undefined ? {} : { config })
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
  const rows = shown.map((value): string[] => [value.key, brief(value), originOfValue(value)])
  process.stdout.write(`${table(['key!', 'value', 'from'], rows)}\n`)
}

/** The modules of parts are loaded, as `parley up` does, and no part is started. */
const checkPartOptions = async ({ input, parts: files }: LoadedConfig): Promise<void> => {
  if (files.length === 0) return
  const parts = await loadParts(files)
  const { partOptions } = parseOptions({ ...input, parts })
  for (const part of parts) optionsOf(part, partOptions[part.name])
}

/** By itself, without flags and variables. */
export const checkConfig = async (file: string, { json = false }: { json?: boolean }): Promise<void> => {
  const loaded = await loadConfig({ config: file, env: {}, flags: entriesOfFlags({}), defaults: UP_DEFAULTS })
  await checkPartOptions(loaded)
  const given = shownValues(loaded).filter(
    ({ key, origin }) => origin.kind === 'file' || isExplicit(loaded, key),
  ).length
  if (json) process.stdout.write(`${JSON.stringify({ file, given, notices: loaded.notices })}\n`)
  else {
    note(loaded.notices)
    process.stdout.write(`${file} can be used: it sets ${given} options\n`)
  }
}

export const printReference = (): void => {
  process.stdout.write(referenceMarkdown(UP_DEFAULTS))
}
