/** Why a call is not even tried. */
export const refusalTexts = {
  noSuchMethod: 'the manager knows no "{method}"',
  fixNoSuchMethod:
    'This window or command is of another version than the manager. Use the same for both; in a browser, load the page again.',
  tooManyCalls: 'too many calls are under way',
  fixTooManyCalls: 'Wait for earlier calls to finish.',
  wrongRequest: 'the request: {problem}',
  wrongArgument: '{field}: {problem}',
  argumentMissing: 'is missing',
  argumentType: 'is not of the type {type}',
  argumentLong: 'is longer than {limit} characters',
  argumentShort: 'is shorter than {limit} characters',
  argumentMany: 'has more than {limit} entries',
  argumentFew: 'has fewer than {limit} entries',
  argumentLarge: 'is more than {limit}',
  argumentSmall: 'is less than {limit}',
  argumentUnknown: 'has what is not known: {names}',
  argumentChoice: 'is none of {values}',
  argumentForm: 'does not have the right form',
  nameControl: 'has a character that can’t be shown, such as a tab or a line break',
  nameInvisible: 'has no character that can be seen',
} as const;
