/**
 * `parley completion`: scripts for shells, made from the commands as commander knows them. What runs here (nodes under
 * .parley) is looked up by the shell when it is asked for. Pure but for the output.
 */
import type { Command, Option } from 'commander'
import { DATA_ROOT } from '../connect/running-nodes.ts'

export type Shell = 'bash' | 'zsh' | 'fish'

interface Choice {
  readonly flag: string
  readonly about: string
  /** The value that has to follow. */
  readonly value: 'none' | 'any' | 'file' | 'folder' | 'node' | readonly string[]
}

interface Node {
  /** Words that lead here, as in `coordinator voters`. */
  readonly path: string
  readonly commands: readonly { readonly name: string; readonly about: string }[]
  readonly options: readonly Choice[]
  /** What its first argument may be, where that is known. */
  readonly words: readonly string[]
  /** Its arguments are names of nodes. */
  readonly takesNodes: boolean
}

const valueKind = (option: Option): Choice['value'] => {
  if (!option.required && !option.optional) return 'none'
  if (option.argChoices !== undefined) return option.argChoices
  const { flags } = option
  if (/<(file|program)\b/.test(flags)) return 'file'
  if (/<dir\b/.test(flags)) return 'folder'
  return option.long === '--node' ? 'node' : 'any'
}

const HELP: Choice = { flag: '--help', about: 'display help for command', value: 'none' }

/** All commands, the outermost first. */
export const commandTree = (command: Command, path: readonly string[] = []): Node[] => {
  const commands = command.commands.filter((one) => !('_hidden' in one && one._hidden === true))
  const options = command.options
    .filter(({ hidden, long }) => !hidden && long !== undefined && long !== null)
    .map((option) => ({ flag: option.long ?? '', about: option.description, value: valueKind(option) }))
  return [
    {
      path: path.join(' '),
      commands: commands.map((one) => ({ name: one.name(), about: one.summary() || one.description() })),
      options: [...options, HELP],
      words: command.registeredArguments[0]?.argChoices ?? [],
      takesNodes: command.registeredArguments.some((argument) => argument.name() === 'NAME'),
    },
    ...commands.flatMap((one) => commandTree(one, [...path, one.name()])),
  ]
}

/** Inside of single quotes. */
const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`

const NODES = `for d in ${DATA_ROOT}/*/node.json; do [ -e "$d" ] && d="\${d%/node.json}" && printf '%s\\n' "\${d##*/}"; done`

const bash = (nodes: readonly Node[]): string => {
  const words = nodes.map(({ path, commands, options, words: more }) => {
    const names = [...commands.map(({ name }) => name), ...more].join(' ')
    return `    ${quoted(path)}) commands=${quoted(names)}; options=${quoted(options.map(({ flag }) => flag).join(' '))} ;;`
  })
  const values = nodes.flatMap(({ path, options }) =>
    options.flatMap(({ flag, value }) => {
      const kind = typeof value === 'string' ? value : `words ${value.join(' ')}`
      return value === 'none' ? [] : [`    ${quoted(`${path} ${flag}`)}) kind=${quoted(kind)} ;;`]
    }),
  )
  const named = nodes.filter(({ takesNodes }) => takesNodes).map(({ path }) => quoted(path))
  return `# Completion of parley for bash; load it with: source <(parley completion bash)
_parley_nodes() { ${NODES}; }

_parley() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}"
  local path='' commands='' options='' kind='' word at
  COMPREPLY=()
  _parley_command() {
    case "$1" in
${words.join('\n')}
    *) return 1 ;;
    esac
  }
  _parley_command ''
  for ((at = 1; at < COMP_CWORD; at++)); do
    word="\${COMP_WORDS[at]}"
    case "$word" in
    --) return ;;
    -*) continue ;;
    esac
    case " $commands " in *" $word "*) path="\${path:+$path }$word"; _parley_command "$path" ;; esac
  done
  case "$path $previous" in
${values.join('\n')}
  esac
  case "$kind" in
  words\\ *) COMPREPLY=($(compgen -W "\${kind#words }" -- "$current")); return ;;
  node) COMPREPLY=($(compgen -W "$(_parley_nodes)" -- "$current")); return ;;
  folder) COMPREPLY=($(compgen -d -- "$current")); return ;;
  file) COMPREPLY=($(compgen -f -- "$current")); return ;;
  any) return ;;
  esac
  case "$current" in
  -*) COMPREPLY=($(compgen -W "$options" -- "$current")); return ;;
  esac
  case "$path" in
  ${named.join(' | ') || quoted('-')}) COMPREPLY=($(compgen -W "$(_parley_nodes)" -- "$current")); return ;;
  esac
  COMPREPLY=($(compgen -W "$commands" -- "$current"))
}
complete -o default -F _parley parley
`
}

/** Inside of a zsh description: colons and brackets mean something there. */
const zshText = (text: string): string => text.replace(/[[\]:]/g, (one) => `\\${one}`)

const zsh = (nodes: readonly Node[]): string => {
  const name = (path: string): string => `_parley_${path === '' ? 'all' : path.replaceAll(/[ -]/g, '_')}`
  const action = (value: Choice['value']): string => {
    if (value === 'none') return ''
    if (typeof value !== 'string') return `:value:(${value.join(' ')})`
    const actions = { any: ':value: ', file: ':file:_files', folder: ':folder:_files -/', node: ':node:_parley_nodes' }
    return actions[value]
  }
  const functions = nodes.map(({ path, commands, options, words, takesNodes }) => {
    const specs = options.map(({ flag, about, value }) => quoted(`${flag}[${zshText(about)}]${action(value)}`))
    if (takesNodes) specs.push(quoted('*:node:_parley_nodes'))
    else if (words.length > 0) specs.push(quoted(`1:word:(${words.join(' ')})`))
    else if (commands.length === 0) specs.push(quoted('*: :_default'))
    const given = specs.join(' \\\n    ')
    if (commands.length === 0) return `${name(path)}() {\n  _arguments -s \\\n    ${given}\n}`
    const list = commands.map((one) => `    ${quoted(`${zshText(one.name)}:${zshText(one.about)}`)}`)
    const cases = commands.map((one) => `    ${one.name}) ${name(`${path} ${one.name}`.trim())} ;;`)
    return `${name(path)}() {
  local -a commands=(
${list.join('\n')}
  )
  local state line
  _arguments -C \\
    ${given} \\
    '1: :->command' '*:: :->rest'
  case $state in
  command) _describe command commands ;;
  rest)
    case $line[1] in
${cases.join('\n')}
    esac ;;
  esac
}`
  })
  return `#compdef parley
# Completion of parley for zsh; put it into a folder of $fpath as _parley, or load it with: source <(parley completion zsh)
_parley_nodes() { local -a nodes=(${DATA_ROOT}/*/node.json(N:h:t)); _describe node nodes }

${functions.join('\n\n')}

# As a file of $fpath this runs to complete; otherwise it only says what does.
if [[ "\${funcstack[1]}" == _parley ]]; then _parley_all "$@"; else compdef _parley_all parley; fi
`
}

const fish = (nodes: readonly Node[]): string => {
  const lines = nodes.flatMap(({ path, commands, options, words, takesNodes }) => {
    const when = `-n ${quoted(`__parley_at ${quoted(path)}`)}`
    const values = (value: Choice['value']): string => {
      if (value === 'none') return ''
      if (typeof value !== 'string') return ` -x -a ${quoted(value.join(' '))}`
      return {
        any: ' -x',
        file: ' -r -F',
        folder: " -x -a '(__fish_complete_directories)'",
        node: " -x -a '(__parley_nodes)'",
      }[value]
    }
    return [
      ...commands.map((one) => `complete -c parley ${when} -f -a ${quoted(one.name)} -d ${quoted(one.about)}`),
      ...options.map(
        ({ flag, about, value }) =>
          `complete -c parley ${when} -l ${flag.slice(2)}${values(value)} -d ${quoted(about)}`,
      ),
      ...words.map((word) => `complete -c parley ${when} -f -a ${quoted(word)}`),
      ...(takesNodes ? [`complete -c parley ${when} -f -a '(__parley_nodes)'`] : []),
    ]
  })
  const paths = nodes.map(({ path }) => quoted(path)).join(' ')
  return `# Completion of parley for fish; load it with: parley completion fish | source
function __parley_nodes
  for note in ${DATA_ROOT}/*/node.json
    basename (dirname $note)
  end
end

# Whether the words so far lead to this command.
function __parley_at
  set -l path ''
  for word in (commandline -opc)[2..-1]
    string match -q -- '-*' $word; and continue
    set -l longer (string trim "$path $word")
    contains -- $longer ${paths}; and set path $longer
  end
  test "$path" = "$argv[1]"
end

${lines.join('\n')}
`
}

export const completionScript = (shell: Shell, program: Command): string =>
  ({ bash, zsh, fish })[shell](commandTree(program))
