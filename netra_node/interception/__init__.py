"""How connections of a pod reach our listeners, as a lease the kernel ends when we do. Knows the kernel; knows no pod."""
