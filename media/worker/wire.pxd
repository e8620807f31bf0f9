cpdef int wait(object epoll, int milliseconds) except -1
cpdef int ready(int place) noexcept
cpdef int receive(int descriptor) noexcept
cpdef bint send(int descriptor, int size) noexcept
cpdef (int, int, int, long, long) read_header() noexcept
cpdef void write_header(int first, int second, int sequence, long timestamp, long ssrc) noexcept
