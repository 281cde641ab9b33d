/* The hot path: encode an action and append it to the open frame, in one call.
 *
 *     emit_action ──► encode ══ scratch ══ append ──► the open frame, or the next one
 *                       └─ anything unusual ─┴──► the Python function makes the whole call
 *
 * The Python code is the reference and the fallback: `producer/encoder.py` for the encoding, and
 * `ProducerEnd`, `WriterPool` and `FrameWriter` of `queue/` for the rest. Functions and fields have
 * the names that they have there, and a record has the same bytes.
 *
 * - A call holds the GIL and runs no Python code: it reads values of exact types only, and switches
 *   the garbage collector off while frames change (Python 3.11 may start it at any allocation). So
 *   no thread, signal handler, finalizer or exception comes between two steps, and a writer need
 *   not leave the pool while it is used.
 * - `encode_action` writes into memory of this module. `append` copies the record without its
 *   newline, and then stores the newline, with which the record is accepted. All stores are release
 *   stores in the order of the Python code, so that a process that dies between any two of them
 *   leaves what `salvage` and the janitor expect, on any processor.
 * - Where things lie in the arena is defined in Python only; see `queue/appender.py`.
 *
 * Python handles: values that are not plain (see `producer/plain.py`), what JSON cannot hold, a
 * timestamp that is neither RFC 3339 text nor a datetime in UTC, an event of over 8 kilobytes (as
 * orjson writes long texts faster), the first frame of a process, a full buffer, and what fails.
 */
#include <Python.h>
#include <structmember.h>
#include <datetime.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#ifdef Py_GIL_DISABLED
#error "the hot path relies on the GIL; free-threaded interpreters use the Python code"
#endif

/* A step is a store to shared memory, or a call for a lock. The tests define both macros, to let a
 * process die before any step, or in the middle of a copy. */
#ifndef STEP
#define STEP() ((void)0)
#define COPY(to, from, size) memcpy(to, from, (size_t)(size))
#endif

/* Bytes of a record, bytes written between two comparisons with `end`, and nested containers. */
enum { MAX_RECORD = 8192, SLACK = 256, MAX_DEPTH = 32 };
static char scratch[MAX_RECORD + SLACK]; /* one for all threads: the call holds the GIL */
static const char *const end = scratch + MAX_RECORD;

/* What Python defines, see `configure`: states, sizes, words, a clock, how to verify a descriptor */
#define CONSTANTS(X) X(FREE) X(FILLING) X(READY) X(WORDS) X(TOTALS) X(GENERATION) X(COUNT) \
    X(LENGTH) X(OPENING) X(CLOSING) X(PROCESS) X(OPENED) X(CLOCK) X(CLOSED_WORD) \
    X(NOTE_HEAD_WORD) X(GETSIG) X(MARK)
#define DECLARE(name) static Py_ssize_t name;
CONSTANTS(DECLARE)
static PyObject *dumps, *encoder, *now; /* orjson.dumps, the encoder's names, datetime.now */
static PyObject *s_appender, *s_append_record, *s_datetime, *s_is_lost, *s_number;
enum { KEY, USER_KEY, IS_ANONYMOUS_USER, TIMESTAMP, METADATA, FIELDS };
static PyObject *field_names[FIELDS];

/* ---- Encoding: as `producer/encoder.py` ------------------------------------------------------ */
/* Each `put` writes at `p`, and returns where it ended; NULL leaves the event to Python. */
#define PUT_LITERAL(p, text) (memcpy(p, text, sizeof(text) - 1), (p) + sizeof(text) - 1)
#define EACH(byte) (0x0101010101010101ULL * (byte))
static inline int is_escaped(unsigned char c) { return c < 0x20 || c == '"' || c == '\\'; }
static inline int may_hold_escaped(uint64_t eight) {
    uint64_t quote = eight ^ EACH('"'), backslash = eight ^ EACH('\\');
    uint64_t high_bits = ((eight - EACH(0x20)) & ~eight) | ((quote - EACH(1)) & ~quote)
                         | ((backslash - EACH(1)) & ~backslash);
    return (high_bits & EACH(0x80)) != 0;
}

static char *put_escaped(char *p, unsigned char c) {
    static const char digits[] = "0123456789abcdef", letters[] = "btnfr\"\\";
    static const char short_ones[] = "\b\t\n\f\r\"\\";
    const char *found = memchr(short_ones, c, sizeof letters - 1);
    p = found ? PUT_LITERAL(p, "\\") : PUT_LITERAL(p, "\\u00");
    if (!found) *p++ = digits[c >> 4];
    *p++ = found ? letters[found - short_ones] : digits[c & 15];
    return p;
}

static char *put_text(char *p, PyObject *text) {
    const char *from;
    Py_ssize_t size;
    if (PyUnicode_IS_COMPACT_ASCII(text)) {
        from = (const char *)PyUnicode_1BYTE_DATA(text);
        size = PyUnicode_GET_LENGTH(text);
    } else if (!(from = PyUnicode_AsUTF8AndSize(text, &size))) { /* a lone surrogate */
        PyErr_Clear();
        return NULL;
    }
    if (end - p < size) return NULL;
    *p++ = '"';
    for (uint64_t eight; size >= 8; from += 8, size -= 8, p += 8) {
        memcpy(&eight, from, 8);
        if (may_hold_escaped(eight)) break;
        memcpy(p, &eight, 8);
    }
    for (; size; from++, size--) {
        if (!is_escaped((unsigned char)*from)) *p++ = *from;
        else if (end - p < 6 + size) return NULL;
        else p = put_escaped(p, (unsigned char)*from);
    }
    *p++ = '"';
    return p;
}

static char *put_integer(char *p, PyObject *integer) {
    int overflow;
    long long value = PyLong_AsLongLongAndOverflow(integer, &overflow);
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    char digits[20], *first = digits + sizeof digits;
    if (overflow) return NULL;
    do *--first = (char)('0' + rest % 10); while (rest /= 10);
    if (value < 0) *p++ = '-';
    memcpy(p, first, (size_t)(digits + sizeof digits - first));
    return p + (digits + sizeof digits - first);
}

/* As orjson writes it, which runs no Python code for a float. */
static char *put_float(char *p, PyObject *value) {
    PyObject *text = PyObject_CallOneArg(dumps, value);
    Py_ssize_t size = text && PyBytes_CheckExact(text) ? PyBytes_GET_SIZE(text) : SLACK;
    if (size < SLACK / 2) memcpy(p, PyBytes_AS_STRING(text), (size_t)size);
    else PyErr_Clear();
    Py_XDECREF(text);
    return size < SLACK / 2 ? p + size : NULL;
}

static char *put_value(char *p, PyObject *value, int depth);
static char *put_dict(char *p, PyObject *dict, int depth) {
    PyObject *key, *value;
    Py_ssize_t at = 0;
    char separator = '{';
    for (; PyDict_Next(dict, &at, &key, &value); separator = ',') {
        if (!PyUnicode_CheckExact(key)) return NULL;
        *p++ = separator;
        if (!(p = put_text(p, key))) return NULL;
        *p++ = ':';
        if (!(p = put_value(p, value, depth))) return NULL;
    }
    if (separator == '{') *p++ = '{';
    *p++ = '}';
    return p;
}

static char *put_list(char *p, PyObject *list, int depth) { /* or a tuple */
    PyObject *const *items = PySequence_Fast_ITEMS(list);
    *p++ = '[';
    for (Py_ssize_t at = 0; at < PySequence_Fast_GET_SIZE(list); at++) {
        if (at) *p++ = ',';
        if (!(p = put_value(p, items[at], depth))) return NULL;
    }
    *p++ = ']';
    return p;
}

static char *put_value(char *p, PyObject *value, int depth) {
    if (p >= end) return NULL;
    if (PyUnicode_CheckExact(value)) return put_text(p, value);
    if (PyLong_CheckExact(value)) return put_integer(p, value);
    if (value == Py_True) return PUT_LITERAL(p, "true");
    if (value == Py_False) return PUT_LITERAL(p, "false");
    if (value == Py_None) return PUT_LITERAL(p, "null");
    if (PyFloat_CheckExact(value)) return put_float(p, value);
    if (depth == 0) return NULL;
    if (PyDict_CheckExact(value)) return put_dict(p, value, depth - 1);
    int is_list = PyList_CheckExact(value) || PyTuple_CheckExact(value);
    return is_list ? put_list(p, value, depth - 1) : NULL;
}

static inline int number_of(const char *digits) { /* 100 when they are not two digits */
    unsigned tens = (unsigned)digits[0] - '0', ones = (unsigned)digits[1] - '0';
    return tens < 10 && ones < 10 ? (int)(10 * tens + ones) : 100;
}

static int is_rfc_3339(const char *s, Py_ssize_t size) { /* 0 when only Python can say */
    static const char days[] = {0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (size < 20 || size > 40) return 0;
    if (s[4] != '-' || s[7] != '-' || s[10] != 'T' || s[13] != ':' || s[16] != ':') return 0;
    int century = number_of(s), year = number_of(s + 2), month = number_of(s + 5);
    int day = number_of(s + 8), is_leap = year ? year % 4 == 0 : century % 4 == 0;
    if (century > 99 || year > 99 || century + year == 0 || month < 1 || month > 12) return 0;
    if (day < 1 || day > days[month] + (month == 2 && is_leap)) return 0;
    if (number_of(s + 11) > 23 || number_of(s + 14) > 59 || number_of(s + 17) > 59) return 0;
    const char *offset = s + 19, *after = s + size;
    if (*offset == '.') {
        do offset++; while (offset < after && *offset >= '0' && *offset <= '9');
        if (offset == s + 20) return 0;
    }
    if (after - offset == 1) return *offset == 'Z';
    if (after - offset != 6 || (*offset != '+' && *offset != '-') || offset[3] != ':') return 0;
    return number_of(offset + 1) < 24 && number_of(offset + 4) < 60;
}

static inline char *put_two_digits(char *p, char before, int number) {
    *p = before;
    p += before != 0;
    *p++ = (char)('0' + number / 10);
    *p++ = (char)('0' + number % 10);
    return p;
}

static char *put_timestamp(char *p, PyObject *time) {
    if (p >= end) return NULL;
    if (PyUnicode_CheckExact(time)) {
        if (!PyUnicode_IS_COMPACT_ASCII(time)) return NULL;
        const char *text = (const char *)PyUnicode_1BYTE_DATA(time);
        return is_rfc_3339(text, PyUnicode_GET_LENGTH(time)) ? put_text(p, time) : NULL;
    }
    if (!PyDateTime_CheckExact(time)) return NULL;
    if (PyDateTime_DATE_GET_TZINFO(time) != PyDateTime_TimeZone_UTC) return NULL;
    int year = PyDateTime_GET_YEAR(time), fraction = PyDateTime_DATE_GET_MICROSECOND(time);
    p = put_two_digits(put_two_digits(p, '"', year / 100), 0, year % 100);
    p = put_two_digits(p, '-', PyDateTime_GET_MONTH(time));
    p = put_two_digits(p, '-', PyDateTime_GET_DAY(time));
    p = put_two_digits(p, 'T', PyDateTime_DATE_GET_HOUR(time));
    p = put_two_digits(p, ':', PyDateTime_DATE_GET_MINUTE(time));
    p = put_two_digits(p, ':', PyDateTime_DATE_GET_SECOND(time));
    if (fraction) {
        p = put_two_digits(put_two_digits(p, '.', fraction / 10000), 0, fraction / 100 % 100);
        p = put_two_digits(p, 0, fraction % 100);
    }
    return PUT_LITERAL(p, "+00:00\"");
}

/* Encode an action into `scratch`; return the size of the record, or 0 when Python must do it. */
static Py_ssize_t encode_action(PyObject *const *fields) {
    PyObject *key = fields[KEY], *user_key = fields[USER_KEY], *metadata = fields[METADATA];
    PyObject *is_anonymous_user = fields[IS_ANONYMOUS_USER];
    if (!PyUnicode_CheckExact(key) || !PyUnicode_GET_LENGTH(key)) return 0;
    if (!PyUnicode_CheckExact(user_key) || !PyUnicode_GET_LENGTH(user_key)) return 0;
    int is_usual = metadata == Py_None || PyDict_CheckExact(metadata);
    if (!is_usual || !PyBool_Check(is_anonymous_user)) return 0;
    char *p = PUT_LITERAL(scratch, "{\"key\":");
    if (!(p = put_text(p, key))) return 0;
    p = PUT_LITERAL(p, ",\"user_key\":");
    if (!(p = put_text(p, user_key))) return 0;
    p = PUT_LITERAL(p, ",\"is_anonymous_user\":");
    p = is_anonymous_user == Py_True ? PUT_LITERAL(p, "true") : PUT_LITERAL(p, "false");
    p = PUT_LITERAL(p, ",\"timestamp\":");
    if (!(p = put_timestamp(p, fields[TIMESTAMP]))) return 0;
    p = PUT_LITERAL(p, ",\"metadata\":");
    if (!(p = put_value(p, metadata, MAX_DEPTH))) return 0;
    p = PUT_LITERAL(p, "}\n");
    return p - scratch;
}

/* ---- FrameWriterFields: the base class of `FrameWriter` -------------------------------------- */
typedef struct {
    PyObject_HEAD
    Py_ssize_t position, limit, room, records, start;
    double due;
    PyObject *arena, *claim;
} FrameWriter;

#define MEMBER(name, kind, type, field) {name, kind, offsetof(type, field), 0, NULL}
static PyMemberDef writer_members[] = {
    MEMBER("position", T_PYSSIZET, FrameWriter, position),
    MEMBER("limit", T_PYSSIZET, FrameWriter, limit), MEMBER("room", T_PYSSIZET, FrameWriter, room),
    MEMBER("_records", T_PYSSIZET, FrameWriter, records),
    MEMBER("_start", T_PYSSIZET, FrameWriter, start), MEMBER("due", T_DOUBLE, FrameWriter, due),
    MEMBER("_arena", T_OBJECT_EX, FrameWriter, arena),
    MEMBER("claim", T_OBJECT_EX, FrameWriter, claim), {0}};
static void dealloc(PyObject *self);
static PyType_Slot writer_slots[] = {
    {Py_tp_members, writer_members}, {Py_tp_dealloc, dealloc}, {0, NULL}};
static PyType_Spec writer_spec = {"dataart_mp._hot_path.FrameWriterFields", sizeof(FrameWriter), 0,
                                  Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, writer_slots};

/* ---- AppenderBase: the base class of `Appender`, which sets its members ---------------------- */
typedef struct {
    PyObject_HEAD
    PyObject *arena, *memory, *idle, *held, *open, *sealed, *guard, *lock_file, *work, *writer_type;
    PyObject *stamps;
    Py_ssize_t frames, states, accounts, contents, stride, capacity, records;
    unsigned long long pid, start, guard_pid;
    double interval;
    char changes_frames;
} Appender;

#define OBJECT(field) MEMBER(#field, T_OBJECT, Appender, field)
#define SIZE(field) MEMBER(#field, T_PYSSIZET, Appender, field)
#define NUMBER(field) MEMBER(#field, T_ULONGLONG, Appender, field)
static PyMemberDef appender_members[] = {
    OBJECT(arena), OBJECT(memory), OBJECT(idle), OBJECT(held), OBJECT(open), OBJECT(sealed),
    OBJECT(guard), OBJECT(lock_file), OBJECT(work), OBJECT(writer_type), SIZE(frames), SIZE(states),
    SIZE(accounts), SIZE(contents), SIZE(stride), SIZE(capacity), SIZE(records), NUMBER(pid),
    NUMBER(start), NUMBER(guard_pid), MEMBER("interval", T_DOUBLE, Appender, interval),
    MEMBER("changes_frames", T_BOOL, Appender, changes_frames), OBJECT(stamps), {0}};
static PyTypeObject *appender_base;
static void dealloc(PyObject *self) { /* of both types */
    PyTypeObject *type = Py_TYPE(self);
    const PyMemberDef *member = writer_members;
    if (PyType_IsSubtype(type, appender_base)) member = appender_members;
    for (; member->name; member++) {
        int is_object = member->type == T_OBJECT || member->type == T_OBJECT_EX;
        if (is_object) Py_XDECREF(*(PyObject **)(void *)((char *)self + member->offset));
    }
    type->tp_free(self);
    Py_DECREF(type);
}

/* As `Descriptor.is_intact`; return its number, or -1. */
static int intact(PyObject *descriptor) {
    PyObject *is_lost = PyObject_GetAttr(descriptor, s_is_lost);
    PyObject *number = PyObject_GetAttr(descriptor, s_number);
    int fd = is_lost == Py_False && number ? (int)PyLong_AsLong(number) : -1;
    Py_XDECREF(is_lost);
    Py_XDECREF(number);
    return fd >= 0 && fcntl(fd, (int)GETSIG) == MARK ? fd : -1;
}

static int lock(int fd, short kind, Py_ssize_t byte) {
    struct flock range = {.l_type = kind, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};
    STEP();
    return fcntl(fd, F_SETLK, &range);
}

/* Store a byte or a word of the arena, after all that was stored before it. */
#define STORE(type, at, value) \
    (STEP(), atomic_store_explicit((_Atomic type *)(at), (type)(value), memory_order_release))

/* Whether C may change frames: not before Python has read all notes of workers; see `Marks`. */
#define STAMPS(self) ((uint64_t *)PyMemoryView_GET_BUFFER((self)->stamps)->buf)
static int may_change_frames(Appender *self, char *base) {
    uint64_t head = ((volatile uint64_t *)(void *)base)[NOTE_HEAD_WORD];
    return self->changes_frames && head == STAMPS(self)[self->frames + 1];
}

/* As `WriterPool.seal`, of a writer that is no longer in the pool. */
static void seal(Appender *self, char *base, FrameWriter *writer) {
    PyObject *number = PyTuple_GET_ITEM(writer->claim, 0);
    Py_ssize_t frame = PyLong_AsSsize_t(number);
    uint64_t *words = (uint64_t *)(void *)base + self->accounts + frame * WORDS;
    STAMPS(self)[frame] = STAMPS(self)[self->frames]; /* the current epoch; see `Marks` */
    PyDict_SetItem(self->sealed, number, PyTuple_GET_ITEM(writer->claim, 1));
    int work = intact(self->work), fd = intact(self->lock_file);
    if (work < 0) PyObject_SetAttr(self->lock_file, s_is_lost, Py_True);
    STORE(uint64_t, words + COUNT, writer->records - writer->room);
    STORE(uint64_t, words + LENGTH, writer->position - writer->start);
    int is_empty = writer->room == writer->records;
    STORE(char, base + self->states + frame, is_empty ? FREE : READY);
    if (work >= 0 && fd >= 0) lock(fd, F_UNLCK, frame);
    PyDict_DelItem(self->held, number);
    if (work >= 0 && !is_empty) {
        unsigned char message[4];
        for (int at = 0; at < 4; at++) message[at] = (unsigned char)(frame >> 8 * at);
        ssize_t written = write(work, message, sizeof message); /* a hint, which may get lost */
        (void)written;
    }
    PyDict_DelItem(self->open, writer->claim);
    PyErr_Clear();
}

/* As `FrameWriter._begin`; the frame is locked, and is free. */
static int begin(Appender *self, char *base, FrameWriter *writer, Py_ssize_t frame) {
    uint64_t *words = (uint64_t *)(void *)base + self->accounts + frame * WORDS;
    uint64_t generation = words[GENERATION] + 1;
    writer->claim = Py_BuildValue("nK", frame, (unsigned long long)generation);
    if (!writer->claim) return 0;
    STORE(uint64_t, words + GENERATION, generation);
    for (Py_ssize_t total = 0; total < TOTALS; total++)
        STORE(uint64_t, words + OPENING + total, words[CLOSING + total]);
    for (Py_ssize_t word = COUNT; word < OPENING; word++) STORE(uint64_t, words + word, 0);
    struct timespec time; clock_gettime((clockid_t)CLOCK, &time);
    STORE(uint64_t, words + OPENED, (uint64_t)time.tv_sec * 1000000000U + (uint64_t)time.tv_nsec);
    STORE(uint64_t, words + PROCESS, self->pid); STORE(uint64_t, words + PROCESS + 1, self->start);
    STORE(char, base + self->states + frame, FILLING);
    Py_INCREF(writer->arena = self->arena);
    writer->records = writer->room = self->records;
    writer->position = writer->start = self->contents + frame * self->stride;
    writer->limit = writer->position + self->capacity;
    return 1;
}

/* As `FrameWriter.open`: claim the lowest free frame for a writer. */
static int claim_lowest(Appender *self, char *base, FrameWriter *writer, int fd) {
    char *states = base + self->states, *state = states - 1, *states_end = states + self->frames;
    PyObject *holder = PyWeakref_NewRef((PyObject *)writer, NULL), *number = NULL;
    int opened = 0;
    while (!opened && holder && !PyErr_Occurred()) {
        state = memchr(state + 1, (int)FREE, (size_t)(states_end - state - 1));
        if (!state) break;
        Py_XSETREF(number, PyLong_FromSsize_t(state - states));
        if (!number || PyDict_Contains(self->held, number)) continue; /* or there was an error */
        if (PyDict_SetItem(self->held, number, holder) < 0) break;
        int is_locked = lock(fd, F_WRLCK, state - states) == 0;
        opened = is_locked && *(volatile char *)state == FREE
                 && begin(self, base, writer, state - states)
                 && PyDict_SetItem(self->open, writer->claim, holder) == 0;
        if (opened) break;
        if (writer->claim) STORE(char, state, FREE);
        if (is_locked) lock(fd, F_UNLCK, state - states);
        PyDict_DelItem(self->held, number);
    }
    Py_XDECREF(holder);
    Py_XDECREF(number);
    return opened;
}

/* As `ProducerEnd._try_open` and `WriterPool.open`: add a writer to the pool. */
static void open_writer(Appender *self, char *base) {
    struct timespec time;
    if (!memchr(base + self->states, (int)FREE, (size_t)self->frames)) return;
    int fd = intact(self->lock_file);
    if (fd < 0) return;
    FrameWriter *writer = (FrameWriter *)PyType_GenericAlloc((PyTypeObject *)self->writer_type, 0);
    if (writer && claim_lowest(self, base, writer, fd)) {
        clock_gettime(CLOCK_MONOTONIC, &time);
        writer->due = (double)time.tv_sec + 1e-9 * (double)time.tv_nsec + self->interval;
        /* Checked after the frame was taken, as in `ProducerEnd._try_open`. */
        atomic_thread_fence(memory_order_seq_cst);
        uint64_t is_closed = ((volatile uint64_t *)(void *)base)[CLOSED_WORD];
        if (is_closed || PyList_Append(self->idle, (PyObject *)writer)) seal(self, base, writer);
    }
    Py_XDECREF(writer);
}

/* The writer that a thread would take from the pool; it stays there. NULL if there is none. */
static inline FrameWriter *last_idle(Appender *self) {
    Py_ssize_t count = PyList_GET_SIZE(self->idle);
    return count ? (FrameWriter *)PyList_GET_ITEM(self->idle, count - 1) : NULL;
}

/* Seal the writer, if there is one; then open one unless the sealed frame was full. */
static FrameWriter *change_frames(Appender *self, char *base, FrameWriter *writer) {
    Py_ssize_t count = PyList_GET_SIZE(self->idle);
    int collects = PyGC_Disable(), was_full = writer && !writer->room;
    Py_XINCREF(writer);
    if (writer && !PyList_SetSlice(self->idle, count - 1, count, NULL)) seal(self, base, writer);
    if (!was_full) open_writer(self, base);
    Py_XDECREF(writer);
    PyErr_Clear();
    if (collects) PyGC_Enable();
    return was_full ? NULL : last_idle(self);
}

/* As `ProducerEnd.append`, of the record in `scratch`; 0 when it was not appended. */
static int append(Appender *self, char *base, Py_ssize_t size) {
    FrameWriter *writer = last_idle(self);
    if (!writer || writer->limit - writer->position < size) {
        if (size > self->capacity || !may_change_frames(self, base)) return 0;
        writer = change_frames(self, base, writer);
        if (!writer || writer->limit - writer->position < size) return 0;
    }
    if (writer->room == 1 && !may_change_frames(self, base)) return 0;
    char *to = base + writer->position;
    STEP();
    COPY(to, scratch, size - 1);
    STORE(char, to + size - 1, '\n');
    writer->position += size;
    if (!--writer->room) change_frames(self, base, writer);
    return 1;
}

/* Return where the arena begins if this process may use it; `memory` must be released then. */
static char *use_arena(Appender *self, Py_buffer *memory) {
    if (!self->guard || !*(volatile char *)PyMemoryView_GET_BUFFER(self->guard)->buf) return NULL;
    if (self->guard_pid && self->guard_pid != (unsigned long long)getpid()) return NULL;
    if (PyObject_GetBuffer(self->memory, memory, PyBUF_WRITABLE) == 0) return memory->buf;
    PyErr_Clear();
    return NULL;
}

static int append_one(Appender *self, Py_ssize_t size) {
    Py_buffer memory;
    char *base = use_arena(self, &memory);
    int appended = base && append(self, base, size);
    if (base) PyBuffer_Release(&memory);
    return appended;
}

/* Sort the values of an action by field; 0 when it is not a dict, or its fields do not fit. */
static int read_fields(PyObject *action, PyObject **fields) {
    PyObject *key, *value;
    Py_ssize_t at = 0;
    if (!PyDict_CheckExact(action)) return 0;
    for (int next = 0; PyDict_Next(action, &at, &key, &value); next++) {
        int field = next;
        if (next == FIELDS || !PyUnicode_CheckExact(key)) return 0;
        if (key != field_names[field]) {
            for (field = 0; PyUnicode_Compare(key, field_names[field]) != 0;) {
                if (++field == FIELDS) return 0;
            }
        }
        fields[field] = value;
    }
    return fields[KEY] && fields[USER_KEY];
}

/* emit_actions(actions, first, now): append actions[first:] up to the first one that Python must
 * handle; return how many were appended. A missing timestamp is `now`. */
static PyObject *emit_actions(PyObject *self, PyObject *args) {
    Py_buffer memory;
    PyObject *actions, *now;
    Py_ssize_t first, at;
    if (!PyArg_ParseTuple(args, "O!nO", &PyList_Type, &actions, &first, &now)) return NULL;
    char *base = first < 0 ? NULL : use_arena((Appender *)self, &memory);
    for (at = first; base && at < PyList_GET_SIZE(actions); at++) {
        PyObject *fields[FIELDS] = {NULL, NULL, Py_False, Py_None, Py_None};
        if (!read_fields(PyList_GET_ITEM(actions, at), fields)) break;
        if (fields[TIMESTAMP] == Py_None) fields[TIMESTAMP] = now;
        Py_ssize_t size = encode_action(fields);
        if (!size || !append((Appender *)self, base, size)) break;
    }
    if (base) PyBuffer_Release(&memory);
    return PyLong_FromSsize_t(at - first);
}

static PyMethodDef appender_methods[] = {{"emit_actions", emit_actions, METH_VARARGS, NULL}, {0}};
static PyType_Slot appender_slots[] = {
    {Py_tp_members, appender_members}, {Py_tp_methods, appender_methods}, {Py_tp_dealloc, dealloc},
    {0, NULL}};
static PyType_Spec appender_spec = {"dataart_mp._hot_path.AppenderBase", sizeof(Appender), 0,
                                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, appender_slots};

/* ---- EmitAction: the method `Client.emit_action` --------------------------------------------- */
/* It calls the Python function when the appender cannot emit. It lives as long as the process. */

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject *function, *dict;
} EmitAction;

/* Sort the arguments by field; 0 when they do not fit. */
static int read_arguments(PyObject *const *args, Py_ssize_t count, PyObject *names,
                          PyObject **fields) {
    if (count > FIELDS) return 0;
    for (Py_ssize_t at = 0; at < count; at++) fields[at] = args[at];
    for (Py_ssize_t at = 0; names && at < PyTuple_GET_SIZE(names); at++) {
        int field = (int)count;
        while (field < FIELDS && PyTuple_GET_ITEM(names, at) != field_names[field]) field++;
        if (field == FIELDS) return 0; /* or its name is not interned */
        fields[field] = args[count + at];
    }
    return fields[KEY] && fields[USER_KEY];
}

/* `datetime.now(UTC)`; NULL when a test has replaced `datetime` in the encoder to freeze it. */
static PyObject *current_time(void) {
    PyObject *type = PyDict_GetItemWithError(encoder, s_datetime);
    if (type != (PyObject *)PyDateTimeAPI->DateTimeType) return NULL;
    return PyObject_CallOneArg(now, PyDateTime_TimeZone_UTC);
}

static PyObject *call(PyObject *self, PyObject *const *args, size_t flags, PyObject *names) {
    PyObject *fields[FIELDS] = {NULL, NULL, Py_False, Py_None, Py_None};
    PyObject *time = NULL, *appender = NULL;
    Py_ssize_t count = PyVectorcall_NARGS(flags), size = 0;
    if (count > 0 && read_arguments(args + 1, count - 1, names, fields)) {
        if (fields[TIMESTAMP] == Py_None) fields[TIMESTAMP] = time = current_time();
        appender = fields[TIMESTAMP] ? PyObject_GetAttr(args[0], s_appender) : NULL;
    }
    if (appender && PyObject_TypeCheck(appender, appender_base)) size = encode_action(fields);
    int appended = size && append_one((Appender *)appender, size);
    PyErr_Clear();
    Py_XDECREF(appender);
    Py_XDECREF(time);
    if (appended) Py_RETURN_TRUE;
    if (!size) return PyObject_Vectorcall(((EmitAction *)self)->function, args, flags, names);
    PyObject *record = PyBytes_FromStringAndSize(scratch, size);
    PyObject *result = record ? PyObject_CallMethodOneArg(args[0], s_append_record, record) : NULL;
    Py_XDECREF(record);
    return result;
}

static PyObject *method_new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(names)) {
    PyObject *function;
    if (!PyArg_ParseTuple(args, "O", &function)) return NULL;
    EmitAction *self = (EmitAction *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->vectorcall = call;
    self->function = Py_NewRef(function);
    return (PyObject *)self;
}

static PyObject *method_get(PyObject *self, PyObject *client, PyObject *Py_UNUSED(type)) {
    return client ? PyMethod_New(self, client) : Py_NewRef(self);
}

static PyMemberDef method_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(EmitAction, vectorcall), READONLY, NULL},
    {"__dictoffset__", T_PYSSIZET, offsetof(EmitAction, dict), READONLY, NULL}, {0}};
static PyGetSetDef method_attributes[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL}, {0}};
static PyType_Slot method_slots[] = {
    {Py_tp_new, method_new}, {Py_tp_call, PyVectorcall_Call}, {Py_tp_descr_get, method_get},
    {Py_tp_members, method_members}, {Py_tp_getset, method_attributes}, {0, NULL}};
static PyType_Spec method_spec = {
    "dataart_mp._hot_path.EmitAction", sizeof(EmitAction), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR, method_slots};

/* ---- The module ------------------------------------------------------------------------------ */
/* configure(values): set the constants, by name. */
static PyObject *configure(PyObject *Py_UNUSED(module), PyObject *values) {
#define NAMED(name) {#name, &name},
    static const struct { const char *name; Py_ssize_t *value; } constants[] = {CONSTANTS(NAMED)};
    for (size_t at = 0; at < sizeof constants / sizeof *constants; at++) {
        PyObject *value = PyMapping_GetItemString(values, constants[at].name);
        if (value) *constants[at].value = PyLong_AsSsize_t(value);
        Py_XDECREF(value);
        if (PyErr_Occurred()) return NULL;
    }
    Py_RETURN_NONE;
}

/* use_encoder(dumps, names): set `orjson.dumps`, and the names of the module that encodes. */
static PyObject *use_encoder(PyObject *Py_UNUSED(module), PyObject *args) {
    if (!PyArg_ParseTuple(args, "OO!", &dumps, &PyDict_Type, &encoder)) return NULL;
    Py_INCREF(dumps);
    Py_INCREF(encoder);
    Py_RETURN_NONE;
}

static int execute(PyObject *module) {
    static const struct { PyObject **name; const char *text; } names[] = {
        {&field_names[KEY], "key"}, {&field_names[USER_KEY], "user_key"},
        {&field_names[IS_ANONYMOUS_USER], "is_anonymous_user"},
        {&field_names[TIMESTAMP], "timestamp"}, {&field_names[METADATA], "metadata"},
        {&s_appender, "_appender"}, {&s_append_record, "_append_record"},
        {&s_datetime, "datetime"}, {&s_is_lost, "is_lost"}, {&s_number, "number"}, {NULL, NULL}};
    if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
        PyErr_SetString(PyExc_ImportError, "the hot path is for the main interpreter only");
        return -1;
    }
    PyDateTime_IMPORT;
    if (!PyDateTimeAPI) return -1;
    now = PyObject_GetAttrString((PyObject *)PyDateTimeAPI->DateTimeType, "now");
    for (int i = 0; names[i].name; i++) *names[i].name = PyUnicode_InternFromString(names[i].text);
    PyType_Spec *const specs[] = {&writer_spec, &appender_spec, &method_spec};
    for (int at = 0; at < 3 && !PyErr_Occurred(); at++) {
        PyObject *type = PyType_FromSpec(specs[at]);
        if (specs[at] == &appender_spec) appender_base = (PyTypeObject *)type;
        if (type) PyModule_AddType(module, (PyTypeObject *)type);
    }
    return PyErr_Occurred() ? -1 : 0;
}

static PyMethodDef functions[] = {
    {"configure", configure, METH_O, NULL}, {"use_encoder", use_encoder, METH_VARARGS, NULL}, {0}};
static PyModuleDef_Slot slots[] = {{Py_mod_exec, execute},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
    {0, NULL}};
static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_hot_path", NULL, 0, functions, slots, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__hot_path(void) { return PyModuleDef_Init(&definition); }
