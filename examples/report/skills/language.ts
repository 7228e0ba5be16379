/**
 * What a document is written in: by its file name, else by its first line. Pure.
 *
 * `comments` says how the prose inside source is marked, `quotes` what delimits its strings.
 */
export type Kind = 'markdown' | 'html' | 'source' | 'data' | 'text'

/** `c`: // and block; `hash`: #; `python`: # and docstrings; `dash`: -- and block; `semicolon`: ;; `percent`: %. */
export type CommentStyle = 'c' | 'hash' | 'python' | 'dash' | 'semicolon' | 'percent'
/** `js`: ' " ` and regular expressions; `two`: ' and "; `char`: " and single characters in '; `one`: only ". */
export type QuoteStyle = 'js' | 'two' | 'char' | 'one'

export interface Language {
  name: string
  kind: Kind
  comments?: CommentStyle
  quotes?: QuoteStyle
}

const source = (name: string, comments: CommentStyle, quotes: QuoteStyle): Language => ({
  name,
  kind: 'source',
  comments,
  quotes,
})
const data = (name: string): Language => ({ name, kind: 'data' })

const TEXT: Language = { name: 'Text', kind: 'text' }
const MARKDOWN: Language = { name: 'Markdown', kind: 'markdown' }
const HTML: Language = { name: 'HTML', kind: 'html' }
const XML: Language = { name: 'XML', kind: 'html' }
const JAVASCRIPT = source('JavaScript', 'c', 'js')
const TYPESCRIPT = source('TypeScript', 'c', 'js')
const PYTHON = source('Python', 'python', 'two')
const SHELL = source('Shell', 'hash', 'two')
const RUBY = source('Ruby', 'hash', 'two')
const C = source('C', 'c', 'char')
const CPP = source('C++', 'c', 'char')
const JSON_TEXT = data('JSON')
const YAML = data('YAML')
const INI = data('INI')
const LOCK = data('Lock file')

const BY_EXTENSION = new Map<string, Language>([
  ...['md', 'markdown', 'mdown', 'mkd', 'mdx', 'qmd', 'rmd'].map((key) => [key, MARKDOWN] as const),
  ...['html', 'htm', 'xhtml', 'vue', 'svelte'].map((key) => [key, HTML] as const),
  ...['xml', 'svg', 'xsd', 'xsl', 'plist', 'rss', 'pom'].map((key) => [key, XML] as const),
  ...['js', 'mjs', 'cjs', 'jsx'].map((key) => [key, JAVASCRIPT] as const),
  ...['ts', 'mts', 'cts', 'tsx'].map((key) => [key, TYPESCRIPT] as const),
  ...['py', 'pyi', 'pyw'].map((key) => [key, PYTHON] as const),
  ...['sh', 'bash', 'zsh', 'ksh', 'bats'].map((key) => [key, SHELL] as const),
  ...['rb', 'rake', 'gemspec'].map((key) => [key, RUBY] as const),
  ...['c', 'h'].map((key) => [key, C] as const),
  ...['cc', 'cpp', 'cxx', 'hh', 'hpp', 'hxx', 'ino'].map((key) => [key, CPP] as const),
  ...['json', 'jsonc', 'json5', 'ndjson', 'jsonl', 'webmanifest', 'ipynb'].map((key) => [key, JSON_TEXT] as const),
  ...['yaml', 'yml'].map((key) => [key, YAML] as const),
  ...['ini', 'cfg', 'conf', 'properties', 'editorconfig', 'npmrc', 'env'].map((key) => [key, INI] as const),
  ['go', source('Go', 'c', 'char')],
  ['rs', source('Rust', 'c', 'char')],
  ['java', source('Java', 'c', 'char')],
  ['kt', source('Kotlin', 'c', 'char')],
  ['scala', source('Scala', 'c', 'char')],
  ['swift', source('Swift', 'c', 'one')],
  ['cs', source('C#', 'c', 'char')],
  ['dart', source('Dart', 'c', 'two')],
  ['php', source('PHP', 'c', 'two')],
  ['proto', source('Protocol Buffers', 'c', 'two')],
  ['css', source('CSS', 'c', 'two')],
  ['scss', source('SCSS', 'c', 'two')],
  ['graphql', source('GraphQL', 'hash', 'one')],
  ['sql', source('SQL', 'dash', 'two')],
  ['lua', source('Lua', 'dash', 'two')],
  ['hs', source('Haskell', 'dash', 'char')],
  ['r', source('R', 'hash', 'two')],
  ['pl', source('Perl', 'hash', 'one')],
  ['pm', source('Perl', 'hash', 'one')],
  ['ex', source('Elixir', 'hash', 'one')],
  ['exs', source('Elixir', 'hash', 'one')],
  ['tf', source('Terraform', 'hash', 'one')],
  ['nix', source('Nix', 'hash', 'one')],
  ['el', source('Lisp', 'semicolon', 'one')],
  ['lisp', source('Lisp', 'semicolon', 'one')],
  ['clj', source('Clojure', 'semicolon', 'one')],
  ['erl', source('Erlang', 'percent', 'one')],
  ['tex', { name: 'LaTeX', kind: 'text' }],
  ['rst', { name: 'reStructuredText', kind: 'text' }],
  ['adoc', { name: 'AsciiDoc', kind: 'text' }],
  ['org', { name: 'Org', kind: 'text' }],
  ['toml', data('TOML')],
  ['csv', data('CSV')],
  ['tsv', data('TSV')],
  ['lock', LOCK],
  ['map', data('Source map')],
  ['mk', source('Makefile', 'hash', 'one')],
  ['txt', TEXT],
  ['log', TEXT],
])

const BY_NAME = new Map<string, Language>([
  ['dockerfile', source('Dockerfile', 'hash', 'two')],
  ['makefile', source('Makefile', 'hash', 'one')],
  ['gnumakefile', source('Makefile', 'hash', 'one')],
  ['rakefile', RUBY],
  ['gemfile', RUBY],
  ['readme', TEXT],
  ['package-lock.json', LOCK],
  ['.package-lock.json', LOCK],
  ['npm-shrinkwrap.json', LOCK],
  ['pnpm-lock.yaml', LOCK],
  ['.gitignore', data('Ignore list')],
  ['.dockerignore', data('Ignore list')],
  ['.npmignore', data('Ignore list')],
  ['.gitattributes', data('Git attributes')],
  ['.bashrc', SHELL],
  ['.profile', SHELL],
  ['cmakelists.txt', source('CMake', 'hash', 'one')],
])

const INTERPRETERS: [RegExp, Language][] = [
  [/\b(?:ba|z|k|da)?sh\b/, SHELL],
  [/\bpython/, PYTHON],
  [/\b(?:node|deno|bun)\b/, JAVASCRIPT],
  [/\bruby\b/, RUBY],
  [/\bperl\b/, source('Perl', 'hash', 'one')],
]

const byFirstLine = (text: string): Language => {
  const start = text.slice(0, 200)
  const first = start.split(/[\r\n]/, 1)[0] ?? ''
  if (first.startsWith('#!')) return INTERPRETERS.find(([pattern]) => pattern.test(first))?.[1] ?? TEXT
  if (/^\s*<\?xml\b/.test(start)) return XML
  if (/^\s*<(?:!doctype html|html)\b/i.test(start)) return HTML
  if (/^\s{0,50}[[{]\s{0,50}(?:["{[\]}]|-?\d)/.test(start)) return JSON_TEXT
  if (/^#{1,3} \S/.test(first)) return MARKDOWN
  return TEXT
}

/** Text files are often Markdown under another name: two headings, a code fence or a bold list tell. */
const looksLikeMarkdown = (text: string): boolean => {
  const start = text.slice(0, 16_384)
  return (start.match(/^#{1,4} \S/gm)?.length ?? 0) >= 2 || /^(?:```|~~~)\w{0,20}[ \t]{0,20}\r?$/m.test(start)
}

/** @param path with `/`; only its last part counts */
export const languageOf = (path: string, text: string): Language => {
  const language = byName(path) ?? byFirstLine(text)
  return language === TEXT && looksLikeMarkdown(text) ? MARKDOWN : language
}

const byName = (path: string): Language | undefined => {
  const name = path.slice(path.lastIndexOf('/') + 1).toLowerCase()
  const known = BY_NAME.get(name)
  if (known !== undefined) return known
  const dot = name.lastIndexOf('.')
  if (name.startsWith('dockerfile.')) return source('Dockerfile', 'hash', 'two')
  return dot < 0 ? undefined : BY_EXTENSION.get(name.slice(dot + 1))
}
